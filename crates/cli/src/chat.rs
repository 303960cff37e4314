//! `lla chat`: a conversation in the terminal with any server of the OpenAI dialect, by default the
//! gateway of the configuration.
//!
//! It keeps the conversation, streams the answer, and stops it on Ctrl-C without ending the program.
//! [`api`] talks to the server, [`conversation`] holds what has been said, [`input`] reads lines.

pub mod api;
pub mod conversation;
pub mod input;

use std::io::IsTerminal as _;

use api::{Api, Piece};
use conversation::{Conversation, Typed};
use input::Input;

use crate::args::ChatArgs;
use crate::config::process;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Written};

/// Runs the conversation.
///
/// # Errors
/// When no server answers, or the only question (from a pipe) could not be answered.
pub async fn run(args: &ChatArgs) -> Outcome {
    let base = match &args.url {
        Some(url) => url.clone(),
        None => default_url(&process::load_for(&args.config, Vec::new())?.config.server.listen),
    };
    let api = Api::new(&base, args)?;
    let models = api.models().await?;
    let conversation = Conversation::new(args.system.as_deref());
    if std::io::stdin().is_terminal() {
        let models = if models.is_empty() { "no model".to_owned() } else { models.join(", ") };
        output::note(&format!("{base} has {models}; asking `{}`. /clear forgets, /exit leaves.", args.model));
        talk(&api, conversation).await
    } else {
        ask_once(&api, conversation).await
    }
}

/// The gateway's address from the configuration; an address that means "all" is reached as loopback.
pub(crate) fn default_url(listen: &str) -> String {
    let listen = listen.replacen("0.0.0.0:", "127.0.0.1:", 1).replacen("[::]:", "[::1]:", 1);
    format!("http://{listen}/v1")
}

/// Questions and answers until the human leaves.
async fn talk(api: &Api, mut conversation: Conversation) -> Outcome {
    let mut input = Input::start();
    let mut interrupted = false;
    loop {
        output::print("> ");
        let line = tokio::select! {
            line = input.line() => line,
            signal = tokio::signal::ctrl_c() => {
                signal?;
                output::line("");
                if std::mem::replace(&mut interrupted, true) {
                    return Ok(());
                }
                output::note("(Ctrl-C again, /exit or Ctrl-D leaves)");
                continue;
            }
        };
        interrupted = false;
        match line.as_deref().map(conversation::read) {
            None | Some(Typed::Exit) => return Ok(()),
            Some(Typed::Nothing) => {}
            Some(Typed::Clear) => {
                conversation.clear();
                output::note("(forgotten)");
            }
            Some(Typed::Unknown(command)) => output::note(&format!("no command {command}; there are /clear and /exit")),
            Some(Typed::Say(text)) => {
                conversation.ask(text);
                if let Err(failure) = answer(api, &mut conversation).await {
                    output::note(&failure.to_string());
                }
            }
        }
    }
}

/// Everything that comes in by a pipe is one question.
async fn ask_once(api: &Api, mut conversation: Conversation) -> Outcome {
    let text = Input::all().await?;
    if text.trim().is_empty() {
        return Err(Failure::usage("there is no question: standard input is empty"));
    }
    conversation.ask(text.trim());
    answer(api, &mut conversation).await
}

/// Streams one answer; Ctrl-C or a reader that has gone stops it, and drops the connection so that
/// the server stops too. What came so far stays in the conversation.
async fn answer(api: &Api, conversation: &mut Conversation) -> Outcome {
    let mut text = String::new();
    let outcome = tokio::select! {
        outcome = stream(api, conversation, &mut text) => outcome,
        signal = tokio::signal::ctrl_c() => {
            signal?;
            output::note("\n(stopped)");
            Ok(())
        }
    };
    if !text.is_empty() && !text.ends_with('\n') {
        output::line("");
    }
    conversation.answered(&text);
    outcome
}

async fn stream(api: &Api, conversation: &Conversation, text: &mut String) -> Outcome {
    let mut answer = api.chat(conversation.messages()).await?;
    while let Some(piece) = answer.next().await? {
        match piece {
            Piece::Text(piece) => {
                text.push_str(&piece);
                if output::print(&piece) == Written::ReaderGone {
                    return Ok(());
                }
            }
            Piece::Finish(reason) if reason == "length" => {
                output::note("\n(cut: --max-tokens, or the model's window, is reached)");
            }
            Piece::Finish(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_all_is_reached_as_loopback() {
        assert_eq!(default_url("0.0.0.0:7117"), "http://127.0.0.1:7117/v1");
        assert_eq!(default_url("[::]:1"), "http://[::1]:1/v1");
        assert_eq!(default_url("10.0.0.1:1"), "http://10.0.0.1:1/v1");
    }
}
