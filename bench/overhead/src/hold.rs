//! Many streams at the same time, for the memory that they take.

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use crate::client::Client;
use crate::{Target, input_closed, print};

/// Opens `streams`, says so, and reads them until standard input ends. Gives how many were broken off.
pub(crate) async fn run(target: &Target, streams: usize) -> Result<Value, Box<dyn Error>> {
    let (waiting, broken) = (Rc::new(Cell::new(streams)), Rc::new(Cell::new(0)));
    let begun = Rc::new(Notify::new());
    let all = LocalSet::new();
    for _ in 0..streams {
        let (waiting, broken, begun) = (Rc::clone(&waiting), Rc::clone(&broken), Rc::clone(&begun));
        let client = Client::new(target, true);
        all.spawn_local(async move {
            let mut first = true;
            let outcome = read(client, || {
                if std::mem::replace(&mut first, false) {
                    waiting.set(waiting.get() - 1);
                    begun.notify_one();
                }
            })
            .await;
            if outcome.is_err() || first {
                broken.set(broken.get() + 1);
                begun.notify_one();
            }
        });
    }
    let held = async {
        while waiting.get() > 0 && broken.get() == 0 {
            begun.notified().await;
        }
        print(&json!({"open": streams - waiting.get()}))?;
        input_closed().await;
        Ok::<_, Box<dyn Error>>(())
    };
    all.run_until(held).await?;
    Ok(json!({"broken": broken.get()}))
}

async fn read(mut client: Client, mut got: impl FnMut()) -> Result<(), Box<dyn Error>> {
    let mut response = client.send().await?;
    while let Some(frame) = response.frame().await {
        frame?;
        got();
    }
    Ok(())
}
