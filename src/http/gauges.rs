//! `/metrics`: OpenMetrics 1.0. What is counted comes from [`crate::metrics`], what is stored is read now. There are no
//! addresses in it; the keywords are.

use std::{fmt, sync::atomic::AtomicU64};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    metrics::{family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};

use super::{answer, cache::Key, routes::Web};
use crate::{
    admin::freshness,
    app::App,
    metrics::PREFIX,
    model::{EntryState, SubscriberId, Suppression, SuppressionReason},
    roster::CHUNK,
    run::{Report, SlotBook},
    store::{DocumentKind, EntryFilter, EntryPages, StoreError, Versioned, documents},
};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Seconds = Gauge<f64, AtomicU64>;
type Labelled<G> = Family<[(&'static str, String); 1], G>;

pub(super) async fn show(State(web): State<Web>) -> Response {
    let app = web.app();
    let stored = async {
        let stored = web.cache.get(&app, Key::Gauges, || stored(&app)).await?;
        let waiting = web.cache.get(&app, Key::Waiting, || waiting(&app)).await?;
        Ok::<_, StoreError>([stored, waiting])
    };
    let stored = match stored.await {
        Ok(stored) => stored.concat(),
        Err(error) => return answer::unavailable(&app, &error),
    };
    let mut text = String::new();
    let written = encode_registry(&mut text, app.metrics.registry()).and_then(|()| {
        text.push_str(&stored);
        encode_eof(&mut text)
    });
    match written {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => unwritten(error).into_response(),
    }
}

fn unwritten(error: fmt::Error) -> axum::http::StatusCode {
    tracing::error!(%error, "the metrics cannot be written");
    axum::http::StatusCode::INTERNAL_SERVER_ERROR
}

/// Everything that the store knows.
async fn stored(app: &App) -> Result<String, StoreError> {
    let mut registry = Registry::with_prefix(PREFIX);
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The program", build);
    let subscribers = Gauge::<i64>::default();
    subscribers.set(whole(app.roster.people().len()));
    registry.register("subscribers", "Configured subscribers", subscribers);
    keywords(app, &mut registry).await?;
    outbox(app, &mut registry).await?;
    suppressions(app, &mut registry).await?;
    runs(app, &mut registry).await?;
    slots(app, &mut registry).await?;
    let refused = Gauge::<i64>::default();
    let daemon = app.standing.daemon();
    refused.set(i64::from(daemon.is_some_and(|daemon| daemon.refused.is_some())));
    registry.register(
        "configuration_refused",
        "Whether the configuration on the disk was read and is not in force",
        refused,
    );
    let gate = app.run.fetcher.client().gate().state().await?.value;
    let paused = Gauge::<i64>::default();
    paused.set(i64::from(
        gate.paused_until.is_some_and(|until| until > app.clock.now()),
    ));
    registry.register("arxiv_paused", "Whether no request may be made to arXiv now", paused);
    written(&registry)
}

fn written(registry: &Registry) -> Result<String, StoreError> {
    let mut text = String::new();
    encode_registry(&mut text, registry).map_err(|error| StoreError::Damaged {
        place: "the metrics".to_owned(),
        what: error.to_string(),
    })?;
    Ok(text)
}

async fn keywords(app: &App, registry: &mut Registry) -> Result<(), StoreError> {
    let now = app.clock.now();
    let age = Labelled::<Seconds>::default();
    let incomplete = Labelled::<Gauge>::default();
    for (keyword, freshness) in freshness::keywords(app).await? {
        let label = [("keyword", keyword)];
        incomplete.get_or_create(&label).set(i64::from(freshness.is_incomplete));
        if let Some(at) = freshness.last_complete {
            age.get_or_create(&label).set(seconds(now - at));
        }
    }
    registry.register_with_unit(
        "keyword_last_complete_age",
        "Time since the keyword's last complete fetch; absent before the first",
        Unit::Seconds,
        age,
    );
    registry.register(
        "keyword_incomplete",
        "Whether the keyword's last fetch was not complete, or there was none",
        incomplete,
    );
    Ok(())
}

async fn outbox(app: &App, registry: &mut Registry) -> Result<(), StoreError> {
    let states = Labelled::<Gauge>::default();
    for state in ["due", "leased", "held", "accepted", "ended"] {
        states.get_or_create(&[("state", state.to_owned())]).set(0);
    }
    let mut oldest: Option<DateTime<Utc>> = None;
    let mut pages = EntryPages::new(&*app.store, EntryFilter::default());
    while let Some(page) = pages.next().await? {
        for Versioned { value: entry, .. } in page {
            let state = match entry.state {
                EntryState::Due => "due",
                EntryState::Leased(_) => "leased",
                EntryState::Held => "held",
                EntryState::Accepted { .. } => "accepted",
                EntryState::Ended { .. } => "ended",
            };
            states.get_or_create(&[("state", state.to_owned())]).inc();
            if entry.is_active() {
                let frozen = entry.digest.frozen_at;
                oldest = Some(oldest.map_or(frozen, |oldest| oldest.min(frozen)));
            }
        }
    }
    registry.register("outbox_entries", "Digests that are kept, by state", states);
    let age = Seconds::default();
    age.set(oldest.map_or(0.0, |oldest| seconds(app.clock.now() - oldest)));
    registry.register_with_unit(
        "outbox_oldest_age",
        "Age of the oldest digest that is on its way; 0 where none is",
        Unit::Seconds,
        age,
    );
    Ok(())
}

async fn suppressions(app: &App, registry: &mut Registry) -> Result<(), StoreError> {
    let reasons = Labelled::<Gauge>::default();
    let name = |reason: SuppressionReason| match reason {
        SuppressionReason::Unsubscribed => "unsubscribed",
        SuppressionReason::HardBounce => "hard_bounce",
        SuppressionReason::SoftBounces => "soft_bounces",
        SuppressionReason::Complaint => "complaint",
        SuppressionReason::Operator => "operator",
    };
    for reason in [
        SuppressionReason::Unsubscribed,
        SuppressionReason::HardBounce,
        SuppressionReason::SoftBounces,
        SuppressionReason::Complaint,
        SuppressionReason::Operator,
    ] {
        reasons.get_or_create(&[("reason", name(reason).to_owned())]).set(0);
    }
    for (_, stored) in documents::load_all::<Suppression>(&*app.store, DocumentKind::Suppression).await? {
        let label = [("reason", name(stored.value.reason).to_owned())];
        reasons.get_or_create(&label).inc();
    }
    registry.register(
        "suppressed_addresses",
        "Addresses that are not mailed, by reason",
        reasons,
    );
    Ok(())
}

async fn runs(app: &App, registry: &mut Registry) -> Result<(), StoreError> {
    let runs = documents::load_all::<Report>(&*app.store, DocumentKind::Run).await?;
    let latest = runs
        .iter()
        .max_by_key(|(_, run)| run.value.began)
        .map(|(_, run)| &run.value);
    let at = Seconds::default();
    if let Some(run) = latest {
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds since 1970 fit into 53 bits for millions of years"
        )]
        at.set(run.began.map_or(0.0, |began| began.timestamp() as f64));
    }
    registry.register_with_unit(
        "last_run_timestamp",
        "When the latest run began, as seconds since 1970; 0 before the first",
        Unit::Seconds,
        at,
    );
    Ok(())
}

/// What waits for a digest, of everyone who is configured: a run looks only at those whose slot it is.
async fn waiting(app: &App) -> Result<String, StoreError> {
    let mut n_waiting = 0;
    for people in app.roster.people().chunks(CHUNK) {
        let ids: Vec<SubscriberId> = people.iter().map(|person| person.id.clone()).collect();
        let states = app.store.subscribers(&ids).await?;
        n_waiting += states.iter().map(|state| state.value.pending.len()).sum::<usize>();
    }
    let mut registry = Registry::with_prefix(PREFIX);
    let waiting = Gauge::<i64>::default();
    waiting.set(whole(n_waiting));
    registry.register(
        "papers_waiting",
        "Matches of all subscribers that no digest holds yet, as of the last minute",
        waiting,
    );
    written(&registry)
}

async fn slots(app: &App, registry: &mut Registry) -> Result<(), StoreError> {
    let now = app.clock.now();
    let book = SlotBook::load(&*app.store).await?;
    let schedules = app.roster.schedules();
    let unserved = schedules
        .iter()
        .filter_map(|(schedule, _)| book.unserved(schedule, now));
    let age = Seconds::default();
    age.set(unserved.min().map_or(0.0, |slot| seconds(now - slot)));
    registry.register_with_unit(
        "slot_unserved_age",
        "Time since the first slot that came and is not served yet; 0 where there is none",
        Unit::Seconds,
        age,
    );
    Ok(())
}

fn seconds(span: chrono::TimeDelta) -> f64 {
    span.as_seconds_f64().max(0.0)
}

fn whole(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
