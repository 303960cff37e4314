//! Which window a request needs (`num_ctx`), and whether it was kept to. Pure.
//!
//! Ollama loads a model again when a request asks for another window, so windows come in powers of two,
//! and a loaded model that is large enough is used as it is. An answer may never grow over the window:
//! Ollama would drop the beginning of the conversation to make room.

use super::estimate::Tokens;

/// Room for an answer whose request does not say how long it may be.
const ANSWER: u32 = 4096;
/// No smaller window is asked for: this is Ollama's own default on small machines.
const SMALLEST: u32 = 4096;
/// The configuration may not limit windows to less.
pub(super) const SMALLEST_LIMIT: u32 = 512;
/// An answer gets at least so much, also when the prompt may have been taken for longer than it is.
const SHORTEST_ANSWER: u32 = 256;

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) prompt: Tokens,
    /// The prompt's tokens as Ollama counted them, once it did.
    pub(super) counted: Option<u32>,
    /// Most tokens of the answer, if the request says.
    pub(super) answer: Option<u32>,
}

impl Need {
    pub(super) fn new(prompt: Tokens, answer: Option<u32>) -> Self {
        Self { prompt, counted: None, answer }
    }

    /// Prompt and answer together.
    pub(super) fn total(&self) -> u32 {
        self.prompt().saturating_add(self.answer.unwrap_or(ANSWER))
    }

    fn prompt(&self) -> u32 {
        self.counted.unwrap_or(self.prompt.likely)
    }
}

/// What limits the window of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// Of the model, and of the configuration.
    pub(super) most: Option<u32>,
    /// What its Modelfile asks for.
    pub(super) wanted: Option<u32>,
    /// What it is loaded with now.
    pub(super) loaded: Option<u32>,
}

/// The window to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) num_ctx: u32,
    /// Always set: by default Ollama goes on for several windows.
    pub(super) num_predict: u32,
    /// The model is loaded with it.
    pub(super) is_loaded: bool,
}

/// The prompt can not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong {
    /// Tokens of the prompt, at least.
    pub(super) prompt: u32,
    /// Whether that many were counted.
    pub(super) counted: bool,
    pub(super) most: u32,
}

/// Chooses the window.
pub(super) fn plan(need: &Need, limits: Limits) -> Result<Window, TooLong> {
    let most = limits.most.unwrap_or(u32::MAX).max(limits.loaded.unwrap_or(0));
    let surely = need.counted.unwrap_or(need.prompt.least);
    if surely >= most {
        return Err(TooLong { prompt: surely, counted: need.counted.is_some(), most });
    }
    let wanted = need.total().min(most);
    let (num_ctx, is_loaded) = match limits.loaded {
        Some(loaded) if loaded >= wanted => (loaded, true),
        _ => {
            let step = wanted.max(SMALLEST).checked_next_power_of_two().unwrap_or(u32::MAX);
            (step.max(limits.wanted.unwrap_or(0)).min(most), false)
        }
    };
    let room = num_ctx.saturating_sub(need.prompt()).max(SHORTEST_ANSWER.min(num_ctx / 2));
    let num_predict = need.answer.map_or(room, |answer| answer.min(room));
    Ok(Window { num_ctx, num_predict, is_loaded })
}

/// What was lost, if the counts at the end of an answer show that something was.
pub(super) fn lost(need: &Need, window: Window, prompt: Option<u32>, answer: Option<u32>) -> Option<String> {
    let prompt = prompt.filter(|prompt| *prompt > 0)?;
    let Window { num_ctx, .. } = window;
    if prompt < need.prompt.least {
        let least = need.prompt.least;
        return Some(format!("it read only {prompt} tokens of a prompt that has at least {least}"));
    }
    let answer = answer.unwrap_or(0);
    // The last token is never read, so one more than the window is still whole.
    if prompt.saturating_add(answer) > num_ctx.saturating_add(1) {
        return Some(format!("prompt ({prompt} tokens) and answer ({answer}) outgrew the window of {num_ctx}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(likely: u32, answer: Option<u32>) -> Need {
        Need::new(Tokens { likely, least: likely / 2 }, answer)
    }

    fn limits(most: u32, loaded: Option<u32>) -> Limits {
        Limits { most: Some(most), wanted: None, loaded }
    }

    #[test]
    fn windows_come_in_steps_and_loaded_ones_are_kept() {
        for (need, limits, num_ctx, num_predict, is_loaded) in [
            (need(10, Some(16)), limits(8192, None), 4096, 16, false),
            (need(10, None), limits(131_072, None), 8192, 8182, false),
            (need(5000, Some(100)), limits(131_072, None), 8192, 100, false),
            (need(5000, Some(100)), limits(131_072, Some(4096)), 8192, 100, false),
            (need(5000, Some(100)), limits(131_072, Some(32_768)), 32_768, 100, true),
            (need(5000, Some(100)), limits(131_072, Some(5100)), 5100, 100, true),
            // The model's own window ends the steps.
            (need(5000, Some(9000)), limits(8192, None), 8192, 3192, false),
            (need(10, Some(16)), limits(512, None), 512, 16, false),
            // Perhaps it is shorter than it looks: Ollama will know.
            (need(9000, None), limits(8192, None), 8192, 256, false),
            (need(9000, None), limits(8192, Some(8192)), 8192, 256, true),
            // What is loaded with more than the configuration allows is used.
            (need(5000, None), limits(4096, Some(16_384)), 16_384, 11_384, true),
        ] {
            assert_eq!(plan(&need, limits), Ok(Window { num_ctx, num_predict, is_loaded }), "{need:?} {limits:?}");
        }
        let wanted = Limits { most: Some(65_536), wanted: Some(16_384), loaded: None };
        assert_eq!(plan(&need(10, None), wanted).map(|window| window.num_ctx), Ok(16_384));
        assert_eq!(plan(&need(10, None), Limits::default()).map(|window| window.num_ctx), Ok(8192));
    }

    #[test]
    fn what_can_not_fit_is_refused() {
        let too_long = TooLong { prompt: 9000, counted: false, most: 8192 };
        assert_eq!(plan(&need(18_000, Some(1)), limits(8192, None)), Err(too_long));
        let counted = Need { counted: Some(8192), ..need(10, None) };
        assert_eq!(plan(&counted, limits(8192, None)), Err(TooLong { prompt: 8192, counted: true, most: 8192 }));
        let counted = Need { counted: Some(8191), ..need(10, None) };
        assert_eq!(plan(&counted, limits(8192, None)).map(|window| window.num_ctx), Ok(8192));
    }

    #[test]
    fn a_loss_shows_in_the_counts() {
        let window = Window { num_ctx: 4096, num_predict: 100, is_loaded: false };
        let need = need(6000, Some(100));
        for (prompt, answer, whole) in [
            (Some(3500), Some(100), true),
            (Some(3997), Some(100), true),
            (Some(3998), Some(100), false),
            (Some(2050), Some(4), false),
            // Older versions do not count what came from a cache.
            (None, Some(4), true),
            (Some(0), Some(4), true),
        ] {
            assert_eq!(lost(&need, window, prompt, answer).is_none(), whole, "{prompt:?} {answer:?}");
        }
    }
}
