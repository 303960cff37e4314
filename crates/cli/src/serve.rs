//! `lla serve`: puts the parts together and keeps them until it is told to stop.
//!
//! [`run`] reads as the steps: configuration, log, a look at the address, models ([`models`], then
//! `prepare` for a faster form), the fleet with our way to start an engine ([`launcher`]), the listener
//! ([`listen`]), a greeting ([`greeting`]), then the gateway until a signal ([`stop`]).

pub mod greeting;
pub mod launcher;
pub mod listen;
pub mod models;
#[cfg(feature = "engine")]
pub mod prepare;
pub mod run_dir;
pub mod stop;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lla_gateway::{AppState, Build};
use lla_inference::{Fleet, FleetConfig};

use crate::args::ServeArgs;
use crate::config::layer::Override;
use crate::config::{Config, process};
use crate::failure::{Exit, OrFail as _, Outcome};
use crate::places::Places;
use crate::{logging, version};

/// How long servers may take to say which models they have before the gateway listens.
const FIRST_LOOK: Duration = Duration::from_secs(3);
/// How long engines may take to end by themselves once nothing is left to answer.
const ENGINE_GRACE: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When the configuration is wrong, the address is taken, or a model can not be had.
pub async fn run(args: &ServeArgs) -> Outcome {
    let loaded = process::load_for(&args.config, flags(args))?;
    logging::start(&loaded.config.log)?;
    match &loaded.file {
        Some(file) => tracing::info!(file = %file.display(), "configuration read"),
        None => tracing::info!("no configuration file: the defaults are in force"),
    }
    let stop = stop::Stop::listen()?;
    tokio::select! {
        outcome = serve(args, loaded.config, &stop) => outcome,
        // The second signal ends everything at once; engines end as their standard input closes.
        () = stop.at_once() => {
            tracing::warn!("second signal: ending without waiting");
            Ok(())
        }
    }
}

fn flags(args: &ServeArgs) -> Vec<Override> {
    let listen = args.listen.iter().map(|text| Override::flag("--listen", &["server", "listen"], text));
    let log = args.log.iter().map(|text| Override::flag("--log", &["log", "level"], text));
    listen.chain(log).collect()
}

async fn serve(args: &ServeArgs, mut config: Config, stop: &stop::Stop) -> Outcome {
    let places = Places::from_environment()?;
    // A taken port is said before gigabytes are pulled, but nobody is let in before all is ready.
    drop(listen::bind(&config.server.listen).await?);
    let resolved = tokio::select! {
        resolved = models::resolve_all(&mut config, &places) => resolved,
        () = stop.first() => {
            tracing::info!("stopped while models were being prepared");
            return Ok(());
        }
    };
    resolved?;
    let run_dir = run_dir::RunDir::create(&places.run())?;
    let fleet = Fleet::new(
        FleetConfig {
            models: config.models.clone(),
            backends: config.backends.clone(),
            routes: config.routes.clone(),
            resilience: config.resilience,
            run_dir: run_dir.path().to_owned(),
        },
        Arc::new(launcher::EngineLauncher::new(&config.log)?),
    )
    .or_fail(Exit::Usage)?;
    let outcome = gateway(args, &config, Arc::clone(&fleet), stop).await;
    fleet.shutdown(ENGINE_GRACE).await;
    outcome
}

async fn gateway(args: &ServeArgs, config: &Config, fleet: Arc<Fleet>, stop: &stop::Stop) -> Outcome {
    first_look(&fleet, stop).await;
    let state = AppState::with_tools(config.server.clone(), &config.tools, fleet, build()).or_fail(Exit::Usage)?;
    let listener = listen::bind(&config.server.listen).await?;
    let address = listener.local_addr().or_fail(Exit::Unavailable)?;
    if let Some(file) = &args.address_file {
        listen::write_address(file, address)?;
    }
    welcome(config, address);
    let served = lla_gateway::serve(listener, state, stop.first()).await;
    tracing::info!("the gateway has stopped");
    served.or_fail(Exit::Unavailable)
}

/// Asks the servers for their models before anyone is let in, so that the first request finds them. A
/// server that does not answer is asked again later, like any that fails.
async fn first_look(fleet: &Fleet, stop: &stop::Stop) {
    tokio::select! {
        _ = tokio::time::timeout(FIRST_LOOK, fleet.refresh()) => {}
        () = stop.first() => {}
    }
}

/// Which program this is.
pub(crate) fn build() -> Build {
    Build {
        version: version::VERSION.to_owned(),
        commit: (version::COMMIT != "unknown").then(|| version::COMMIT.to_owned()),
        features: version::features().into_iter().map(str::to_owned).collect(),
    }
}

fn welcome(config: &Config, address: SocketAddr) {
    tracing::info!("listening on http://{address}");
    if !address.ip().is_loopback() {
        tracing::warn!(
            "{address} can be reached from other machines, and no key is asked for: whoever reaches it can use \
             the models. Listen on 127.0.0.1, or put a proxy that checks keys in front"
        );
    }
    greeting::show(config, address);
    greeting::better_model(config);
}
