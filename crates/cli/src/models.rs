//! The model store: gets models, keeps them whole, and says what is there and what would fit.
//!
//! What it does: [`pull()`] gets a model from a source ([`source`]: a wheel, a hub, a file of yours) into a
//! [`Store`], verified and in one piece; [`Store::resolve`], `list`, `show` and `remove` answer for what is
//! there; [`catalogue`] knows a short list of open models and recommends; [`gguf`] reads headers;
//! [`mod@print`] makes tables of it all.
//!
//! What it does not: run a model, or make other forms of one (the engine does; [`Store::prepare_with`]
//! keeps them). It prints nothing by itself except through [`progress::Progress`].
//!
//! Start reading at [`pull()`], then the store's layout in `store.rs`.

pub mod catalogue;
mod error;
mod files;
pub mod gguf;
mod hub;
mod install;
mod local;
mod manifest;
pub mod print;
pub mod progress;
mod pull;
mod pypi;
pub mod source;
mod store;

pub use error::StoreError;
pub use hub::Hub;
pub use manifest::{Manifest, Prepared, Sampling};
pub use pull::{Outside, pull, pull_with};
pub use store::{Installed, Store};
