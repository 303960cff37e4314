//! The folders that a client lets its server read (`roots/list`), for clients that started us.
//!
//! Up to revision 2025-11-25 they are asked for during the call; since 2026-07-28 the call is answered
//! with the question, and the client repeats it with the answer.

#![expect(deprecated, reason = "roots are how clients of every revision so far say which folders may be read")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, InputRequest, InputRequiredResult, ListRootsRequest, ListRootsResult, ProtocolVersion,
};
use rmcp::service::RequestContext;
use url::Url;

/// The name of our question.
const QUESTION: &str = "roots";
/// How long a client may take to answer; without an answer it has no folders.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of the client's folders.
pub(super) enum Found {
    /// These.
    Roots(Vec<PathBuf>),
    /// It has to be asked first.
    Ask(InputRequiredResult),
}

/// The folders for a call.
pub(super) async fn of(request: &CallToolRequestParams, context: &RequestContext<RoleServer>) -> Found {
    let needs_files = request.arguments.as_ref().is_some_and(|arguments| arguments.contains_key("path"));
    let has_roots = context.client_capabilities().is_some_and(|capabilities| capabilities.roots.is_some());
    if !needs_files || !has_roots {
        return Found::Roots(Vec::new());
    }
    let asks_in_answers = context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
    if !asks_in_answers {
        return Found::Roots(asked(context).await);
    }
    match request.input_responses.as_ref().and_then(|answers| answers.get(QUESTION)) {
        Some(answer) => {
            let list = serde_json::from_value::<ListRootsResult>(answer.clone());
            Found::Roots(list.as_ref().map(folders).unwrap_or_default())
        }
        None => {
            let question = InputRequest::ListRoots(ListRootsRequest::default());
            let questions = BTreeMap::from([(QUESTION.to_owned(), question)]);
            Found::Ask(InputRequiredResult::from_input_requests(questions))
        }
    }
}

async fn asked(context: &RequestContext<RoleServer>) -> Vec<PathBuf> {
    let answer = tokio::time::timeout(PATIENCE, context.peer.list_roots()).await;
    match answer {
        Ok(Ok(list)) => folders(&list),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the client did not tell its roots");
            Vec::new()
        }
        Err(_) => {
            tracing::warn!("the client did not tell its roots in time");
            Vec::new()
        }
    }
}

/// Only folders of this machine can be read.
fn folders(list: &ListRootsResult) -> Vec<PathBuf> {
    let local = |uri: &str| Url::parse(uri).ok().filter(|url| url.scheme() == "file")?.to_file_path().ok();
    list.roots.iter().filter_map(|root| local(&root.uri)).collect()
}

#[cfg(test)]
mod tests {
    use rmcp::model::Root;

    use super::*;

    #[test]
    fn only_local_folders_count() {
        let uris = ["file:///home/u/my%20project", "https://example.com/x", "file://other/share", "nonsense"];
        let list = ListRootsResult::new(uris.into_iter().map(Root::new).collect());
        assert_eq!(folders(&list), [PathBuf::from("/home/u/my project")]);
    }
}
