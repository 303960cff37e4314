//! What the driver has learned of its server: what kind it is, its adapters, what it can do.
//!
//! [`ask`] is called at each refresh of the models. It costs one or two questions that any server answers
//! at once; what costs more ([`probe`]) is asked only when the server is not the one of before.

use std::collections::BTreeMap;
use std::sync::Arc;

use lla_protocol::openai::{Model, ModelList};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::adapters::Adapters;
use super::config::{Dialect, HttpBackendConfig};
use super::connection::Connection;
use super::probe::{self, Props};
use crate::{Capabilities, Error, ModelInfo};

/// See the module.
#[derive(Debug)]
pub(super) struct Learned {
    /// Never [`Dialect::Auto`], once the server has been asked.
    pub(super) dialect: Dialect,
    pub(super) connection: Arc<Connection>,
    pub(super) adapters: Adapters,
    pub(super) capabilities: Capabilities,
    pub(super) version: Option<String>,
    /// When each model was first seen, by the server's clock: vLLM and `llama-server` give every model the time of
    /// the question.
    created: BTreeMap<String, i64>,
    /// By what another server is known from the one before; `None`: nothing has been asked.
    identity: Option<Identity>,
}

#[derive(Debug, PartialEq)]
struct Identity {
    version: Option<String>,
    props: Props,
    adapters: Adapters,
    models: Vec<(String, Option<u32>)>,
}

impl Learned {
    /// What the configuration says, before anything is asked.
    pub(super) fn configured(connection: Arc<Connection>, config: &HttpBackendConfig) -> Self {
        let url = config.url.as_deref().and_then(|url| reqwest::Url::parse(url).ok());
        let is_openai = url.is_some_and(|url| url.host_str() == Some("api.openai.com"));
        let dialect = match config.dialect {
            Dialect::Auto if is_openai => Dialect::OpenAi,
            dialect => dialect,
        };
        Self {
            dialect,
            connection,
            adapters: Adapters::default(),
            capabilities: Capabilities::default(),
            version: None,
            created: BTreeMap::new(),
            identity: None,
        }
    }

    /// Nothing has been asked yet of a server that may need more than the configuration says: the adapters
    /// of a `llama-server` would all be applied at once.
    pub(super) fn needs_asking(&self) -> bool {
        self.dialect == Dialect::LlamaServer && self.identity.is_none()
    }

    /// The same, but not believed any more: its server was away, and may come back as another.
    pub(super) fn doubted(&self) -> Self {
        Self {
            dialect: self.dialect,
            connection: Arc::clone(&self.connection),
            adapters: self.adapters.clone(),
            capabilities: self.capabilities,
            version: self.version.clone(),
            created: self.created.clone(),
            identity: None,
        }
    }
}

/// Asks the server for its models, and for what else has to be known of its kind.
///
/// # Errors
/// When the list of models, or a `llama-server`'s of adapters, can not be had.
pub(super) async fn ask(
    before: &Learned,
    config: &HttpBackendConfig,
) -> Result<(Vec<ModelInfo>, Option<Learned>), Error> {
    let list = match before.connection.get::<ModelList>("models").await {
        Ok(list) => list,
        // Not every server lists its models: then the configuration has to.
        Err(Error::Upstream { .. }) if !config.models.is_empty() => ModelList::new(Vec::new()),
        Err(error) => return Err(error),
    };
    let (dialect, version) = kind(before, config, &list).await;
    let connection = connection(before, config, dialect);
    let props = match dialect {
        // One that manages several models has none of its own, nor adapters.
        Dialect::LlamaServer => connection.get_root::<Props>("props").await.unwrap_or_default(),
        _ => Props::default(),
    };
    let adapters = match dialect {
        Dialect::LlamaServer => {
            let loaded = connection.get_root_if_there("lora-adapters").await?.unwrap_or_default();
            Adapters::new(loaded, &list.data)
        }
        _ => Adapters::default(),
    };
    let windows = if dialect == Dialect::LmStudio { lm_studio_windows(&connection).await } else { BTreeMap::new() };
    let mut models: Vec<ModelInfo> = list.data.iter().map(|model| info(model, &windows)).collect();
    if let Some(base) = models.first() {
        models.extend(adapters.models(base));
    }
    for model in &mut models {
        model.created = before.created.get(&model.id).copied().unwrap_or(model.created);
    }
    let version = version.or_else(|| props.build_info.clone());
    let identity = Identity {
        version: version.clone(),
        props,
        adapters: adapters.clone(),
        models: models.iter().map(|model| (model.id.clone(), model.window)).collect(),
    };
    if before.dialect == dialect && before.identity.as_ref() == Some(&identity) {
        return Ok((models, None));
    }
    let mut capabilities = probe::capabilities(&connection, dialect, &list.data, &identity.props).await;
    capabilities.server = Some(dialect.as_str());
    capabilities.window = models.iter().filter_map(|model| model.window).min();
    if dialect == Dialect::LlamaServer {
        capabilities.adapters = (!adapters.is_empty()).into();
    }
    let created = models.iter().map(|model| (model.id.clone(), model.created)).collect();
    let learned = Learned { dialect, connection, adapters, capabilities, version, created, identity: Some(identity) };
    Ok((models, Some(learned)))
}

/// What kind of server it is, and its version where it has a route for that.
async fn kind(before: &Learned, config: &HttpBackendConfig, list: &ModelList) -> (Dialect, Option<String>) {
    let is_open = config.dialect == Dialect::Auto && before.dialect != Dialect::OpenAi;
    let dialect = match probe::recognise(list) {
        Some(found) if is_open => found,
        _ if is_open => Dialect::Generic,
        _ => before.dialect,
    };
    if !dialect.has_vllm_routes() {
        return (dialect, None);
    }
    let version = version(&before.connection).await;
    // A gateway of ours lists its models as our engine does, and has not its routes.
    if is_open && dialect == Dialect::LlaEngine && version.is_none() {
        return (Dialect::Generic, None);
    }
    (dialect, version)
}

/// `GET /version`, where the server has it.
pub(super) async fn version(connection: &Connection) -> Option<String> {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    connection.get_root::<Version>("version").await.ok().map(|found| found.version)
}

/// Another one when the server turns out to be of a kind whose connections are not kept.
fn connection(before: &Learned, config: &HttpBackendConfig, dialect: Dialect) -> Arc<Connection> {
    if dialect.pools() == before.dialect.pools() {
        return Arc::clone(&before.connection);
    }
    let config = HttpBackendConfig { dialect, ..config.clone() };
    match Connection::new(&before.connection.name, &config) {
        Ok(connection) => Arc::new(connection),
        Err(error) => {
            tracing::warn!(backend = before.connection.name, %error, "connections are kept although they should not be");
            Arc::clone(&before.connection)
        }
    }
}

fn info(model: &Model, windows: &BTreeMap<String, u32>) -> ModelInfo {
    let window = model.max_model_len.or_else(|| llama_server_window(&model.rest));
    ModelInfo {
        id: model.id.clone(),
        window: window.or_else(|| windows.get(&model.id).copied()),
        created: model.created,
        parent: model.rest.get("parent").and_then(Value::as_str).map(str::to_owned),
    }
}

/// `llama-server` hides the window in `meta`.
fn llama_server_window(rest: &Map<String, Value>) -> Option<u32> {
    let meta = rest.get("meta")?;
    let window = meta.get("n_ctx").or_else(|| meta.get("n_ctx_train"))?;
    u32::try_from(window.as_u64()?).ok()
}

/// LM Studio tells windows only by its own API: of a loaded model what it was loaded with, else the most that
/// it can have.
async fn lm_studio_windows(connection: &Connection) -> BTreeMap<String, u32> {
    #[derive(Deserialize)]
    struct List {
        data: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        id: String,
        loaded_context_length: Option<u32>,
        max_context_length: Option<u32>,
    }
    let entries = connection.get_root::<List>("api/v0/models").await.map(|list| list.data).unwrap_or_default();
    let window = |entry: Entry| Some((entry.id, entry.loaded_context_length.or(entry.max_context_length)?));
    entries.into_iter().filter_map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_openai_itself_is_known_by_its_address() {
        for (url, written, dialect) in [
            ("https://api.openai.com/v1", Dialect::Auto, Dialect::OpenAi),
            ("https://api.openai.com", Dialect::Auto, Dialect::OpenAi),
            ("https://api.openai.com", Dialect::Generic, Dialect::Generic),
            ("https://api.openai.com.example", Dialect::Auto, Dialect::Auto),
            ("http://127.0.0.1:1", Dialect::LlamaServer, Dialect::LlamaServer),
        ] {
            let config = HttpBackendConfig { url: Some(url.to_owned()), dialect: written, ..Default::default() };
            let connection = Arc::new(Connection::new("b", &config).expect("a connection"));
            assert_eq!(Learned::configured(connection, &config).dialect, dialect, "{url}");
        }
    }

    #[test]
    fn windows_are_read_where_servers_write_them() {
        for (model, window) in [
            (r#"{"id":"m","max_model_len":64}"#, Some(64)),
            (r#"{"id":"m","meta":{"n_ctx":32,"n_ctx_train":64}}"#, Some(32)),
            (r#"{"id":"m","meta":{"n_ctx_train":64}}"#, Some(64)),
            (r#"{"id":"m","meta":{"n_ctx":-1}}"#, None),
            (r#"{"id":"listed"}"#, Some(16)),
            (r#"{"id":"m"}"#, None),
        ] {
            let listed = BTreeMap::from([("listed".to_owned(), 16)]);
            let model: Model = serde_json::from_str(model).expect("a model");
            assert_eq!(info(&model, &listed).window, window, "{model:?}");
        }
    }
}
