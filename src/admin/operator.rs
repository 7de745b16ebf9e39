//! After a run: the operator is told what needs a person, and the dead-man switch hears that all went well.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret;

use super::freshness;
use crate::{
    app::{App, AppError},
    delivery::in_words,
    mail::message::Mailbox,
    model::{IncompleteKeyword, Outcome},
    report::{self, Notice, Trouble},
    run::Report,
    store::{DocumentKind, StoreError, documents},
};

/// Ends a run: `is_good` when it was a whole one without failures. What fails here is logged and fails nothing.
pub async fn conclude(app: &App, is_good: bool) -> Result<(), StoreError> {
    if is_good && let Some(address) = &app.config.report.ping {
        match report::ping(address.expose_secret()).await {
            Ok(()) => tracing::debug!("called report.ping"),
            Err(why) => tracing::warn!(why, "report.ping could not be called"),
        }
    }
    if app.config.report.to.is_empty() {
        return Ok(());
    }
    let now = app.clock.now();
    let gate = app.run.fetcher.client().gate().state().await?.value;
    let after = TimeDelta::from_std(app.config.report.after).unwrap_or(TimeDelta::MAX);
    let mut relays = app.delivery.transport.names();
    if relays.len() == 1 {
        // What a single relay fails at shows in the digests that wait for it.
        relays.clear();
    }
    let mut troubles =
        report::troubles(&*app.store, &gate, &latest_incomplete(app).await?, &relays, after, now).await?;
    troubles.extend(freshness::standstill(app).await?.map(|standstill| Trouble {
        key: "announcements".to_owned(),
        since: standstill.since,
        what: standstill.in_words(),
        can_end: true,
    }));
    let Some(notice) = report::notice(&*app.store, troubles, now).await? else {
        return Ok(());
    };
    let is_accepted = match send(app, &notice, now).await {
        Ok(is_accepted) => is_accepted,
        Err(error) => {
            tracing::error!(%error, "a mail to the operator cannot be made");
            false
        }
    };
    report::remember(&*app.store, notice, is_accepted, now).await
}

/// The keywords that the latest fetch left incomplete.
async fn latest_incomplete(app: &App) -> Result<Vec<IncompleteKeyword>, StoreError> {
    let runs = documents::load_all::<Report>(&*app.store, DocumentKind::Run).await?;
    let latest = runs.into_iter().map(|(_, run)| run.value).max_by_key(|run| run.began);
    Ok(latest.map_or_else(Vec::new, |run| run.incomplete))
}

/// Sends a notice to everyone in `report.to`; whether at least one of them was accepted.
async fn send(app: &App, notice: &Notice, now: DateTime<Utc>) -> Result<bool, AppError> {
    let mut courier = app.delivery.transport.courier();
    let mut is_accepted = false;
    for to in &app.config.report.to {
        let mailbox = Mailbox::new(to.name.as_deref(), to.address.clone());
        let composer = &app.delivery.composer;
        let (message_id, bytes) = composer
            .notice("report", mailbox, &notice.mail, now)
            .map_err(anyhow::Error::new)?;
        let outcome = courier.send_notice(&to.address, &message_id, now, &bytes).await;
        match &outcome {
            Outcome::Accepted { .. } => {
                is_accepted = true;
                tracing::info!(subject = notice.mail.subject, "the operator was told");
            }
            _ => tracing::error!(
                subject = notice.mail.subject,
                outcome = in_words(&outcome),
                "the operator could not be told; it is tried again later"
            ),
        }
    }
    courier.close().await;
    Ok(is_accepted)
}
