//! Our entry in a client's file: JSON with comments, or TOML.

use anyhow::{Context as _, bail};
use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstNode, CstObjectProp, CstRootNode};
use toml_edit::{Array, DocumentMut, Item, Table, value};

use super::{Entry, NAME};
use crate::args::McpClient;

/// Seconds that Codex and Zed are to wait for a call; their own 60 are too few for a long text.
const PATIENCE: i64 = 600;

/// The file's text with our entry in it; an empty text is a file that is not there.
pub(super) fn merged(client: McpClient, before: &str, entry: &Entry) -> anyhow::Result<String> {
    match client {
        McpClient::Codex => codex(before, entry),
        McpClient::ClaudeCode | McpClient::Cursor => json(before, "mcpServers", typed(entry), Fields::new()),
        McpClient::Vscode => json(before, "servers", typed(entry), Fields::new()),
        McpClient::Zed => {
            let patience = vec![("timeout", CstInputValue::Number(PATIENCE.to_string()))];
            json(before, "context_servers", untyped(entry), patience)
        }
    }
}

type Fields = Vec<(&'static str, CstInputValue)>;

fn untyped(entry: &Entry) -> Fields {
    let args = entry.args.iter().cloned().map(CstInputValue::String).collect();
    vec![("command", CstInputValue::String(entry.command.clone())), ("args", CstInputValue::Array(args))]
}

fn typed(entry: &Entry) -> Fields {
    let mut fields = vec![("type", CstInputValue::String("stdio".to_owned()))];
    fields.extend(untyped(entry));
    fields
}

/// Sets `section.lla`. Fields that somebody added to our entry (`env`) stay; `wishes` are set where there is
/// nothing yet.
fn json(before: &str, section: &str, fields: Fields, wishes: Fields) -> anyhow::Result<String> {
    let text = if before.trim().is_empty() { "{\n}\n" } else { before };
    let root = CstRootNode::parse(text, &ParseOptions::default()).context("it is no JSON")?;
    let whole = root.object_value().context("it is not a JSON object")?;
    let servers = whole.object_value_or_create(section).with_context(|| format!("\"{section}\" is not an object"))?;
    let ours =
        servers.object_value_or_create(NAME).with_context(|| format!("\"{section}.{NAME}\" is not an object"))?;
    for (name, value) in fields {
        match ours.get(name) {
            Some(field) if same(&field, &value) => {}
            Some(field) => field.set_value(value),
            None => drop(ours.append(name, value)),
        }
    }
    for (name, value) in wishes {
        if ours.get(name).is_none() {
            ours.append(name, value);
        }
    }
    Ok(root.to_string())
}

/// Whether a field has this value already, however it is written.
fn same(field: &CstObjectProp, value: &CstInputValue) -> bool {
    field.value().is_some_and(|node| is(&node, value))
}

fn is(node: &CstNode, value: &CstInputValue) -> bool {
    match value {
        CstInputValue::String(wanted) => {
            node.as_string_lit().and_then(|text| text.decoded_value().ok()).as_ref() == Some(wanted)
        }
        CstInputValue::Array(wanted) => node.as_array().is_some_and(|array| {
            let elements = array.elements();
            elements.len() == wanted.len() && elements.iter().zip(wanted).all(|(element, wanted)| is(element, wanted))
        }),
        _ => false,
    }
}

fn codex(before: &str, entry: &Entry) -> anyhow::Result<String> {
    let mut document: DocumentMut = before.parse().context("it is no TOML")?;
    let servers = document.entry("mcp_servers").or_insert_with(|| {
        let mut table = Table::new();
        // Only its parts are of interest: `[mcp_servers.lla]` alone says all.
        table.set_implicit(true);
        Item::Table(table)
    });
    let Some(servers) = servers.as_table_like_mut() else { bail!("mcp_servers is not a table") };
    let ours = servers.entry(NAME).or_insert_with(|| Item::Table(Table::new()));
    let Some(ours) = ours.as_table_like_mut() else { bail!("mcp_servers.{NAME} is not a table") };
    let args: Array = entry.args.iter().collect();
    let same_args = ours.get("args").and_then(Item::as_array).is_some_and(|array| {
        array.len() == args.len() && array.iter().zip(&entry.args).all(|(old, new)| old.as_str() == Some(new))
    });
    if ours.get("command").and_then(Item::as_str) != Some(&entry.command) {
        ours.insert("command", value(&entry.command));
    }
    if !same_args {
        ours.insert("args", value(args));
    }
    if !ours.contains_key("tool_timeout_sec") {
        ours.insert("tool_timeout_sec", value(PATIENCE));
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENTS: [McpClient; 5] =
        [McpClient::ClaudeCode, McpClient::Cursor, McpClient::Codex, McpClient::Vscode, McpClient::Zed];

    fn entry() -> Entry {
        let args = ["mcp", "--root", "/x \"y\""].map(str::to_owned).to_vec();
        Entry { command: "/opt/l l a".to_owned(), args }
    }

    #[test]
    fn a_new_file_has_the_entry_and_a_second_time_changes_nothing() {
        for client in CLIENTS {
            let once = merged(client, "", &entry()).expect("new");
            assert!(once.contains("/opt/l l a") && once.contains("mcp"), "{once}");
            assert_eq!(merged(client, &once, &entry()).expect("again"), once, "{client:?}");
        }
        let text = merged(McpClient::Cursor, "", &entry()).expect("new");
        let json: serde_json::Value = serde_json::from_str(&text).expect("plain JSON");
        assert_eq!(json["mcpServers"]["lla"]["args"][2], "/x \"y\"");
        assert_eq!(json["mcpServers"]["lla"]["type"], "stdio");
        let text = merged(McpClient::Zed, "", &entry()).expect("new");
        let json: serde_json::Value = serde_json::from_str(&text).expect("plain JSON");
        assert_eq!(json["context_servers"]["lla"]["timeout"], 600);
        let toml: toml::Table = merged(McpClient::Codex, "", &entry()).expect("new").parse().expect("TOML");
        assert_eq!(toml["mcp_servers"]["lla"]["args"][2].as_str(), Some("/x \"y\""));
    }

    #[test]
    fn comments_order_and_other_entries_stay() {
        let before = "// mine\n{\n  \"theme\": \"dark\", // keep\n  \"context_servers\": {\n    \
            \"other\": {\"command\": \"x\"}, /* keep too */\n  },\n}\n";
        let after = merged(McpClient::Zed, before, &entry()).expect("merged");
        for kept in ["// mine", "\"theme\": \"dark\", // keep", "\"other\": {\"command\": \"x\"}", "/* keep too */"] {
            assert!(after.contains(kept), "{kept} in {after}");
        }
        let before = "# mine\nmodel = \"m\" # keep\n\n[mcp_servers.other]\ncommand = \"x\" # keep too\n";
        let after = merged(McpClient::Codex, before, &entry()).expect("merged");
        assert!(after.starts_with(before), "{after}");
        assert!(after.contains("[mcp_servers.lla]"), "{after}");
    }

    #[test]
    fn an_older_entry_is_corrected_and_keeps_what_others_added() {
        let before = "{\"mcpServers\": {\"lla\": {\"command\": \"old\", \"args\": [], \"env\": {\"A\": \"1\"}}}}";
        let after = merged(McpClient::Cursor, before, &entry()).expect("merged");
        let json: serde_json::Value = serde_json::from_str(&after).expect("JSON");
        assert_eq!(json["mcpServers"]["lla"]["command"], "/opt/l l a");
        assert_eq!(json["mcpServers"]["lla"]["env"]["A"], "1");
        let before = "{\"context_servers\": {\"lla\": {\"timeout\": 5}}}";
        let after = merged(McpClient::Zed, before, &entry()).expect("merged");
        assert!(after.contains("\"timeout\": 5"), "{after}");
        let before = "[mcp_servers.lla]\ncommand = \"old\"\ntool_timeout_sec = 5\n";
        let after = merged(McpClient::Codex, before, &entry()).expect("merged");
        assert!(after.contains("tool_timeout_sec = 5") && !after.contains("old"), "{after}");
    }

    #[test]
    fn what_can_not_be_read_is_not_changed() {
        for (client, before) in [
            (McpClient::Cursor, "{"),
            (McpClient::Cursor, "[]"),
            (McpClient::Cursor, "{\"mcpServers\": []}"),
            (McpClient::Vscode, "{\"servers\": {\"lla\": 3}}"),
            (McpClient::Codex, "mcp_servers = 3"),
            (McpClient::Codex, "= ="),
        ] {
            assert!(merged(client, before, &entry()).is_err(), "{before}");
        }
    }
}
