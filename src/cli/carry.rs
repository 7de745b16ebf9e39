//! Where a command is carried out: by the running daemon, which holds the state, or here.

use std::path::{Path, PathBuf};

use super::progress;
use crate::{
    admin::{self, Command, Reply},
    app::{self, App, AppError, Options},
    clock::{Clock, SystemClock},
    config::{self, Environment},
    daemon::socket,
    model::Suppression,
};

/// `check`.
pub(super) async fn check(path: &Path, online: bool) -> Result<Reply, AppError> {
    // systemd names the credentials to ExecReload but shows them to ExecStart only: there only the daemon can read
    // the password.
    let environment = Environment::from_process();
    let is_shown = |folder: &PathBuf| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if !online
        && !environment.credentials_directory.as_ref().is_some_and(is_shown)
        && let Some(socket_path) = socket::path_of_service(&environment)
        && let Some(reply) = socket::ask(
            &socket_path,
            &Command::Check {
                config: absolute(path)?,
            },
        )
        .await?
    {
        return Ok(reply);
    }
    let loaded = app::load_config(path, &environment)?;
    let mut reply = admin::check(&loaded, SystemClock.now());
    if online {
        let command = Command::Probe {
            config: absolute(path)?,
        };
        let probed = on_store(path, command, &Options::default()).await?;
        reply.output.push('\n');
        reply.output.push_str(&probed.output);
        reply.problems.extend(probed.problems);
        reply.exit = probed.exit;
        return Ok(reply);
    }
    // Only a running daemon can be asked who is not mailed: the state is not opened for this.
    let socket_path = socket::path(&loaded.config.state_dir, &environment);
    if let Ok(Some(listed)) = socket::ask(&socket_path, &Command::SuppressionList { json: true }).await {
        let suppressions: Vec<Suppression> = serde_json::from_str(&listed.output).unwrap_or_default();
        reply.output.push_str(&admin::not_mailed(&loaded.config, &suppressions));
    }
    Ok(reply)
}

/// Carries a command out where the store is: in the running daemon, or here.
pub(super) async fn on_store(path: &Path, command: Command, options: &Options) -> Result<Reply, AppError> {
    let environment = Environment::from_process();
    let loaded = app::load_config(path, &environment);
    let state_dir = match &loaded {
        Ok(loaded) => loaded.config.state_dir.clone(),
        // The running daemon has read it when it was whole.
        Err(_) => config::state_dir_of(path, &environment),
    };
    for warning in loaded.iter().flat_map(|loaded| &loaded.warnings) {
        tracing::warn!("{warning}");
    }
    if let Some(mut reply) = socket::ask(&socket::path(&state_dir, &environment), &command).await? {
        if options.now.is_some() || options.dry_run {
            return Err(AppError::Usage(
                "--now and --dry-run need a state that no running `serve` holds".to_owned(),
            ));
        }
        if let Err(problems) = loaded {
            reply.problems.push(format!(
                "the configuration file cannot be used: {}\nthe running daemon, which has carried this out, goes on with \
                 the one before; `paperround check` names every problem",
                problems.in_brief()
            ));
        }
        return Ok(reply);
    }
    let loaded = loaded?;
    let app = App::open(loaded, options).await?;
    if options.now.is_some() && !options.dry_run {
        crate::daemon::refuse_if_served(&*app.store).await?;
    }
    let shown = progress::show(app.run.fetcher.progress());
    let reply = admin::execute(&app, &command).await;
    shown.end().await;
    Ok(reply)
}

pub(super) fn absolute(path: &Path) -> Result<PathBuf, AppError> {
    std::path::absolute(path).map_err(|error| AppError::Usage(format!("{}: {error}", path.display())))
}
