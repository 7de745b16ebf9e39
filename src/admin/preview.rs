//! `preview`: the digest that a subscriber would get now, from the store.

use std::{collections::HashMap, sync::Arc};

use chrono::TimeDelta;

use super::{PreviewFormat, Reply, person};
use crate::{
    app::{App, AppError},
    arxiv::calendar,
    matching::Lexicon,
    model::{Definition, SubscriberState, Welcome},
    roster::Person,
    run::{self, Covered, Recorded, Report},
    store::{self, Batch, Store, Versioned, memory::MemoryStore},
};

/// How many stored papers a preview of the last days looks at.
const PAPERS_MAX: usize = 20_000;

pub(super) async fn command(
    app: &App,
    name: Option<&str>,
    format: PreviewFormat,
    days: Option<u32>,
    welcome: bool,
) -> Result<Reply, AppError> {
    let person = person(app, name)?;
    // On a copy: a preview takes no number and queues nothing.
    let copy: Arc<dyn Store> = Arc::new(MemoryStore::copy_of(&*app.store).await?);
    let mut settings = run::Settings::clone(&app.run.settings);
    settings.enqueue.welcome |= welcome;
    // A newcomer starts as far back as a new subscription.
    let first_days = u32::try_from(settings.first_digest.num_days()).unwrap_or(0).max(1);
    let days = if welcome {
        Some(days.unwrap_or(first_days))
    } else {
        days
    };
    let ctx = run::Context {
        store: Arc::clone(&copy),
        settings: Arc::new(settings),
        // Only this subscriber's keywords are read here.
        lexicon: Arc::default(),
        ..app.run.clone()
    };
    let definitions = person.keywords().map(|(_, definition)| definition.clone()).collect();
    // As if everything that arXiv can have shown by now had been fetched.
    let covered = Covered {
        latest: Some(calendar::latest_expected(app.clock.now())),
        ..Covered::default()
    };
    let recorded = Recorded {
        definitions,
        covered,
        ..Recorded::default()
    };
    if let Some(days) = days {
        pretend_pending(&*copy, person, days, welcome, app.clock.now()).await?;
    }
    let mut report = Report::default();
    let enqueued = run::assemble_and_enqueue(
        &ctx,
        &app.roster,
        std::slice::from_ref(&person.id),
        &recorded,
        &mut report,
    )
    .await?;
    let Some(digest) = enqueued.first() else {
        return Ok(Reply::done(format!(
            "{}: nothing waits; `--days N` shows what the last N days would have brought\n",
            person.id
        )));
    };
    let Some(entry) = copy.entry(&digest.id).await? else {
        return Err(anyhow::anyhow!("the digest that was just made is not there").into());
    };
    let papers = store::papers_of(&*copy, &entry.value.digest).await?;
    let composed = app
        .delivery
        .composer
        .compose(&entry.value.digest, &entry.value.message_id, &papers)
        .map_err(anyhow::Error::new)?;
    Ok(Reply::done(match format {
        PreviewFormat::Html => composed.html.to_string(),
        PreviewFormat::Text => composed.text.to_string(),
        PreviewFormat::Eml => String::from_utf8_lossy(&composed.bytes).into_owned(),
    }))
}

/// Makes everything pending that was fetched for the first time within the last days and matches now.
async fn pretend_pending(
    copy: &dyn Store,
    person: &Person,
    days: u32,
    is_new: bool,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), AppError> {
    let definitions: Vec<&Definition> = person.keywords().map(|(_, definition)| definition).collect();
    let (lexicon, _) = Lexicon::new(definitions.iter().copied());
    let since = now - TimeDelta::days(i64::from(days));
    let mut state = SubscriberState::new(person.id.clone());
    state.configure(&person.keywords, now);
    let mut texts = HashMap::new();
    for stored in copy.newest_papers(None, PAPERS_MAX).await? {
        let recent = stored.paper.submitted.unwrap_or(stored.first_fetched) >= since;
        let reading = lexicon.read(&stored.paper);
        if recent && definitions.iter().any(|definition| reading.accepts(definition)) {
            state.record(&stored.paper.id, now);
        }
        texts.insert(stored.paper.id.clone(), ());
    }
    let stored = copy.subscribers(std::slice::from_ref(&person.id)).await?.pop();
    let revision = stored.as_ref().map_or(0, |stored| stored.revision);
    if let Some(stored) = stored {
        // No number is given twice, on a copy neither.
        state.latest_digest = stored.value.latest_digest;
        state.welcome = stored.value.welcome;
    }
    if is_new {
        state.welcome = Welcome::Owed;
    }
    copy.commit(Batch {
        subscribers: vec![Versioned { value: state, revision }],
        ..Batch::default()
    })
    .await?;
    Ok(())
}
