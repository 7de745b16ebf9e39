//! A configuration that has changed: put in force whole, or kept out whole.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Shared;
use crate::{
    app::{self, App},
    config::{self, Environment},
    delivery, run,
    standing::Refused,
};

/// Where every problem of a file is told.
const NAMED_BY_CHECK: &str = "`paperround check` names every problem";
const WANTS_RESTART: &str = "`systemctl restart paperround` puts it in force";
const WANTS_SIGNAL: &str = "if it is meant, `systemctl reload paperround` (SIGHUP) puts it in force";

/// Reads the configuration again and puts it in place, or keeps the one that runs and says why, in the log and from then
/// on in `status`.
pub(super) async fn reload(shared: &Shared, environment: &Environment, asked_for: bool) {
    let former = shared.app();
    let (app, n_changes) = match successor(&former, shared, environment, asked_for) {
        Ok(successor) => successor,
        Err((why, mend)) => {
            let at = former.clock.now();
            former.standing.reloaded(Some(Refused { at, why, mend }));
            return;
        }
    };
    former.standing.reloaded(None);
    shared.app.send_replace(Arc::new(app));
    tracing::info!(n_changes, "configuration reloaded");
    take_effect(&shared.app()).await;
    shared.bell.ring();
}

/// What takes the place of `former`, and by how many changes it differs; or what keeps it out and what the operator can do; the log has told either.
fn successor(
    former: &App,
    shared: &Shared,
    environment: &Environment,
    asked_for: bool,
) -> Result<(App, usize), (String, &'static str)> {
    let loaded = app::load_config(&shared.config_path, environment).map_err(|problems| {
        for problem in &problems.0 {
            // The excerpt of the file that follows the first line is for a terminal.
            let problem = problem.to_string();
            tracing::error!("{}", problem.lines().next().unwrap_or_default());
        }
        tracing::error!(
            n_problems = problems.0.len(),
            "the configuration is not reloaded; the former one stays in force"
        );
        (problems.in_brief(), NAMED_BY_CHECK)
    })?;
    let changes = config::diff(&former.config, &loaded.config);
    if !changes.needs_restart.is_empty() {
        let keys = changes.needs_restart.join(", ");
        tracing::error!(
            keys,
            "these keys need a restart; the former configuration stays in force"
        );
        return Err((format!("it changes {keys}"), WANTS_RESTART));
    }
    if changes.removes_many() && !asked_for {
        let (n_removed, n_before) = (changes.removed_subscribers.len(), changes.total_before);
        tracing::error!(
            n_removed,
            n_before,
            "the change would remove more than a fifth of the subscribers; it waits for SIGHUP (systemctl reload)"
        );
        let why = format!("it would remove {n_removed} of {n_before} subscribers");
        return Err((why, WANTS_SIGNAL));
    }
    let unusable = |why: String| {
        tracing::error!(why, "the configuration is not reloaded; the former one stays in force");
        (why, NAMED_BY_CHECK)
    };
    if let Some(problem) = loaded.config.contact_problem() {
        return Err(unusable(problem));
    }
    for line in &changes.lines {
        tracing::info!(change = line, "configuration changes");
    }
    let app = former.rebuild(loaded).map_err(|error| unusable(error.to_string()))?;
    Ok((app, changes.lines.len()))
}

/// New subscribers count from now, and what waits for those who are gone is cancelled now. What fails here is done at
/// the next run all the same.
async fn take_effect(app: &App) {
    let now = app.clock.now();
    let done = async {
        run::synchronise(&app.run, &app.roster, now).await?;
        delivery::cancel_unwanted(&app.delivery, DateTime::<Utc>::MIN_UTC).await
    };
    if let Err(error) = done.await {
        tracing::error!(%error, "the stored subscribers are not in line with the configuration yet");
    }
}
