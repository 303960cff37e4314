//! What is known of a model: its window and what it can do. Pure.

use lla_protocol::ollama::ShowResponse;

/// Of one model, as `/api/show` tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Card {
    /// Most tokens that it takes.
    pub(super) window: Option<u32>,
    /// `num_ctx` of its Modelfile.
    pub(super) num_ctx: Option<u32>,
    /// `None`: an Ollama that does not tell.
    capabilities: Option<Vec<String>>,
    /// It runs elsewhere: nothing has to be loaded here.
    pub(super) is_remote: bool,
}

impl Card {
    /// Reads it.
    pub(super) fn new(shown: &ShowResponse) -> Self {
        Self {
            window: shown.context_length(),
            num_ctx: shown.num_ctx(),
            capabilities: shown.capabilities.clone().filter(|names| !names.is_empty()),
            is_remote: shown.remote_model.as_ref().is_some_and(|name| !name.is_empty()),
        }
    }

    /// Nothing speaks against it.
    pub(super) fn can(&self, what: &str) -> bool {
        self.capabilities.is_none() || self.is_known_to(what)
    }

    /// Ollama says so.
    pub(super) fn is_known_to(&self, what: &str) -> bool {
        self.capabilities.iter().flatten().any(|name| name == what)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_told_is_tried() {
        let card = |value| Card::new(&serde_json::from_value(value).expect("a model"));
        let silent = card(json!({}));
        assert!(silent.can("tools") && !silent.is_known_to("tools") && !silent.is_remote);
        let known = card(json!({"capabilities": ["completion"], "remote_model": "big:cloud"}));
        assert!(known.can("completion") && known.is_known_to("completion") && !known.can("tools") && known.is_remote);
    }
}
