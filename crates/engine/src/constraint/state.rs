//! The state of one restricted generation.

use std::sync::Arc;

use llguidance::Matcher;
use llguidance::toktrie::SimpleVob;

use super::close::{close_json, open_json};
use super::error::{ConstraintError, first_line};
use super::finish::Finish;
use super::finite::Run;
use super::marker::MarkerSearch;
use super::mask::Mask;
use super::vocabulary::ConstraintVocabulary;

/// What the tokens of one generation may be, and what they have been so far.
///
/// Clones go on by themselves; they share what has been learned of the grammar behind a lock, so they
/// are meant for the choices of one request.
#[derive(Clone)]
pub struct Constraint {
    vocabulary: Arc<ConstraintVocabulary>,
    /// As compiled: an answer that was cut is read again from here.
    fresh: Matcher,
    matcher: Matcher,
    /// Set until the restriction begins.
    search: Option<MarkerSearch>,
    /// The restricted part of the answer.
    written: Vec<u8>,
    /// Whether the grammar is one of JSON.
    json: bool,
    /// As compiled, of what an answer that was cut should rather become: see [`Constraint::closed_as`].
    preferred: Option<Box<Matcher>>,
    /// What ends a text of the language that nothing else would end soon: see [`Constraint::ended_by`].
    end: Option<&'static str>,
    /// The end of `written`, where the grammar holds numbers of JSON.
    run: Option<Run>,
    /// The mask for the next token, once asked for.
    mask: Option<SimpleVob>,
}

impl std::fmt::Debug for Constraint {
    /// Without the answer's text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Constraint");
        debug.field("json", &self.json).field("begun", &self.search.is_none());
        debug.field("written", &self.written.len()).finish_non_exhaustive()
    }
}

impl Constraint {
    pub(super) fn new(
        vocabulary: Arc<ConstraintVocabulary>,
        matcher: Matcher,
        marker: Option<&str>,
        json: bool,
        has_numbers: bool,
    ) -> Self {
        let run = has_numbers.then(Run::default);
        let search = marker.filter(|marker| !marker.is_empty()).map(MarkerSearch::new);
        Self {
            vocabulary,
            fresh: matcher.clone(),
            matcher,
            search,
            written: Vec::new(),
            json,
            preferred: None,
            end: None,
            run,
            mask: None,
        }
    }

    /// Prefers the language of `answer`, which is a part of this one, when an answer that was cut is
    /// closed: otherwise a call could be made up of which the model wrote nothing but a brace.
    #[must_use]
    pub fn closed_as(mut self, answer: &Self) -> Self {
        self.preferred = Some(Box::new(answer.fresh.clone()));
        self.json = answer.json;
        self
    }

    /// Names the text behind which a part of the language is over, for parts that may hold any text: an
    /// answer that was cut is closed by it.
    #[must_use]
    pub fn ended_by(mut self, end: Option<&'static str>) -> Self {
        self.end = end;
        self
    }

    /// Which tokens may come next; `None`: any, the restriction has not begun. When the text is
    /// complete, only tokens that end the answer.
    ///
    /// Takes from some microseconds to some milliseconds; a second call before the next
    /// [`Constraint::accept`] takes nothing.
    ///
    /// # Errors
    /// When the grammar asks for too much work, or a refused token was accepted before.
    pub fn mask(&mut self) -> Result<Option<Mask<'_>>, ConstraintError> {
        if self.search.is_some() {
            return Ok(None);
        }
        let mask = match self.mask.take() {
            Some(mask) => mask,
            None => self.finite_mask()?,
        };
        Ok(Some(Mask::new(self.mask.insert(mask).as_slice())))
    }

    fn finite_mask(&mut self) -> Result<SimpleVob, ConstraintError> {
        let mut mask = self.matcher.compute_mask_or_eos().map_err(|error| failed(&error))?;
        if let Some(run) = &self.run {
            let may_end = self.matcher.is_accepting().unwrap_or(false);
            run.limit(&mut mask, &self.vocabulary, may_end);
        }
        Ok(mask)
    }

    /// Whether it holds already.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.search.is_none()
    }

    /// Takes the next token of the answer.
    ///
    /// Before the restriction begins this only looks for the marker, also across tokens and in the
    /// texts of control tokens. What comes after the marker in the same token counts as restricted
    /// text when the grammar takes it; otherwise (line ends after `</think>`) it counts as part of the
    /// marker, and the restriction begins with the next token.
    ///
    /// # Errors
    /// When the grammar does not allow the token, or asks for too much work. The state can not be used
    /// any more then.
    pub fn accept(&mut self, token: u32) -> Result<(), ConstraintError> {
        let allowed = self.mask.take().is_some_and(|mask| mask.is_allowed(token));
        if let Some(search) = &mut self.search {
            if let Some(rest) = search.push(self.vocabulary.bytes_or_text(token)) {
                self.begin(rest);
            }
            return Ok(());
        }
        if self.matcher.is_stopped() && !self.matcher.is_error() {
            return if self.vocabulary.ends(token) { Ok(()) } else { Err(ConstraintError::Refused { token }) };
        }
        self.matcher.consume_token(token).map_err(|error| {
            // A token of the mask fails only when the work for it is too much.
            if allowed { failed(&error) } else { ConstraintError::Refused { token } }
        })?;
        let bytes = self.vocabulary.bytes(token);
        self.written.extend_from_slice(bytes);
        self.run.iter_mut().for_each(|run| run.push(bytes));
        Ok(())
    }

    /// Begins the restriction; `rest` has been written already.
    fn begin(&mut self, rest: Vec<u8>) {
        self.search = None;
        let mut trial = self.matcher.clone();
        let tokens = self.vocabulary.spell(&rest).unwrap_or_default();
        if !tokens.is_empty() && trial.try_consume_tokens(&tokens).is_ok_and(|taken| taken == tokens.len()) {
            self.matcher = trial;
            self.run.iter_mut().for_each(|run| run.push(&rest));
            self.written = rest;
        }
    }

    /// The tokens that must come now, one after the other, because the grammar leaves no choice; empty
    /// when there is one. They are not accepted yet: accept each one.
    pub fn forced(&mut self) -> Vec<u32> {
        if self.search.is_some() || self.matcher.is_stopped() {
            return Vec::new();
        }
        self.matcher.compute_ff_tokens()
    }

    /// Whether the text is a whole one of the language and nothing but the end may follow.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.search.is_none() && self.matcher.stop_reason().is_ok() && self.matcher.is_stopped()
    }

    /// Whether the text may end here: it is a whole one of the language, or the restriction has not
    /// begun.
    pub fn may_end(&mut self) -> bool {
        self.search.is_some() || self.is_complete() || self.matcher.is_accepting().unwrap_or(false)
    }

    /// What to append to an answer that was cut by its length, so that it can be read nevertheless.
    ///
    /// `text` is the answer as the caller got it; only its end is looked at, for a character that was
    /// cut in two. Such a character should be left out of the answer (the closing then writes it anew,
    /// or another one): with U+FFFD in its place a name or a constant is another one, and nothing can
    /// mend that. First the grammar is followed to a near end (at most 512 choices of some
    /// microseconds), which gives a valid text of the language. Where that does not end, JSON is closed
    /// by its form alone: it parses, but may not be what the schema asks for; so are the arguments of a
    /// call. Other languages get nothing then.
    pub fn closing(&mut self, text: &str) -> String {
        if self.search.is_some() || self.is_complete() {
            return String::new();
        }
        let written = self.shown(text);
        let by_form = || if self.json { close_json(&written) } else { close_json(open_json(&written)?) };
        self.finished(&written).or_else(by_form).unwrap_or_default()
    }

    /// The text to a near end of the grammar.
    fn finished(&self, written: &str) -> Option<String> {
        let finish = |json, matcher: &Matcher, written: &str| {
            Finish::new(&self.vocabulary, json, self.end).run(matcher.clone(), written.as_bytes())
        };
        let Some(preferred) = &self.preferred else { return finish(self.json, &self.fresh, written) };
        finish(self.json, preferred, written)
            // Behind a reasoning section white space may lead.
            .or_else(|| finish(self.json, preferred, written.trim_start()))
            .or_else(|| finish(false, &self.fresh, written))
    }

    /// The restricted text as the caller has it: a character that was cut in two is either missing or
    /// replaced.
    fn shown(&self, text: &str) -> String {
        match std::str::from_utf8(&self.written) {
            Ok(written) => written.to_owned(),
            Err(error) => {
                let whole = self.written.get(..error.valid_up_to()).unwrap_or_default();
                let replaced = if text.ends_with('\u{fffd}') { "\u{fffd}" } else { "" };
                format!("{}{replaced}", String::from_utf8_lossy(whole))
            }
        }
    }
}

fn failed(error: &dyn std::fmt::Display) -> ConstraintError {
    ConstraintError::Failed(first_line(&error.to_string()))
}
