//! Where each client keeps the configuration of its MCP servers.

use std::path::PathBuf;

use clap::ValueEnum as _;

use crate::args::McpClient;
use crate::failure::Failure;

/// The name of the client on the command line.
pub(super) fn word(client: McpClient) -> String {
    client.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The client's file.
pub(super) fn of(client: McpClient) -> Result<PathBuf, Failure> {
    of_in(client, |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
        .ok_or_else(|| Failure::usage("HOME is not set: name the client's configuration with --file"))
}

fn of_in(client: McpClient, variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let home = |rest: &str| variable("HOME").map(|home| home.join(rest));
    match client {
        // For the project in the working folder: shared with whoever works on it.
        McpClient::ClaudeCode => Some(PathBuf::from(".mcp.json")),
        McpClient::Vscode => Some(PathBuf::from(".vscode/mcp.json")),
        McpClient::Cursor => home(".cursor/mcp.json"),
        McpClient::Codex => match variable("CODEX_HOME") {
            Some(folder) => Some(folder.join("config.toml")),
            None => home(".codex/config.toml"),
        },
        McpClient::Zed => match variable("XDG_CONFIG_HOME").filter(|folder| folder.is_absolute()) {
            Some(folder) if cfg!(target_os = "linux") => Some(folder.join("zed/settings.json")),
            _ => home(".config/zed/settings.json"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_the_clients_own_variables() {
        let with = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
        };
        let plain = with(&[("HOME", "/h")]);
        assert_eq!(of_in(McpClient::Cursor, plain), Some("/h/.cursor/mcp.json".into()));
        assert_eq!(of_in(McpClient::Codex, plain), Some("/h/.codex/config.toml".into()));
        assert_eq!(of_in(McpClient::Zed, plain), Some("/h/.config/zed/settings.json".into()));
        assert_eq!(of_in(McpClient::Codex, with(&[("CODEX_HOME", "/c")])), Some("/c/config.toml".into()));
        assert_eq!(of_in(McpClient::Cursor, with(&[])), None);
        assert_eq!(word(McpClient::ClaudeCode), "claude-code");
    }
}
