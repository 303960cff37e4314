//! The gateway's MCP endpoint with the tools, prompts and resources that the official conformance tool
//! expects of a server: what it finds wrong is then our layer's or `rmcp`'s, not that of a tool.
//!
//! ```sh
//! cargo run -p lla-gateway --example mcp_fixture      # prints its URL, ends with its standard input
//! ```
//!
//! `scripts/test-sdk conformance` runs the tool against it.

mod handler;
mod input;
mod texts;
mod tools;

use std::error::Error;
use std::io::Write as _;

use lla_gateway::{AppState, Build, ServerConfig, ToolsConfig, serve};
use lla_inference::Fleet;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let build = Build { version: "0".to_owned(), commit: None, features: Vec::new() };
    let (config, fleet) = (ServerConfig::default(), Fleet::from_backends(Vec::new()));
    let state = AppState::with_mcp(config, &ToolsConfig::default(), fleet, build, handler::Fixture::default())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "http://{}/mcp", listener.local_addr()?)?;
    let closed = async {
        let mut ignored = Vec::new();
        drop(tokio::io::stdin().read_to_end(&mut ignored).await);
    };
    Ok(serve(listener, state, closed).await?)
}
