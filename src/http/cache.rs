//! What takes long to make, kept for a while: a page or a feed reads all stored papers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::time::Instant;

use crate::{app::App, export::Wanted, model::SubscriberId, store::StoreError};

/// How old an answer may be.
const KEPT: Duration = Duration::from_secs(60);
/// How old the metrics may be that are read from the store: a scrape should see what is so now.
const GAUGES_KEPT: Duration = Duration::from_secs(1);
/// An answer is kept for so many times as long as it took to make, so that making it again and again never takes more than
/// a twentieth of the time, however much is stored.
const TIMES_MADE: u32 = 20;
/// How many answers are kept.
const ANSWERS_MAX: usize = 100;

/// What an answer is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// The page of papers.
    Page(Wanted),
    /// A subscriber's feed.
    Feed(SubscriberId),
    /// The metrics that are read from the store.
    Gauges,
    /// That of them for which the state of every subscriber is read.
    Waiting,
}

/// Answers of late. One is made at a time, so that a flood of requests costs one core at most and most of them nothing.
#[derive(Debug, Default)]
pub(super) struct Cache {
    kept: Mutex<HashMap<Key, Kept>>,
    making: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Kept {
    /// Of another configuration it is worth nothing.
    app: Weak<App>,
    made: Instant,
    until: Instant,
    text: Arc<str>,
}

impl Cache {
    /// The answer that is kept, or a new one.
    pub(super) async fn get<F: Future<Output = Result<String, StoreError>>>(
        &self,
        app: &Arc<App>,
        key: Key,
        make: impl FnOnce() -> F,
    ) -> Result<Arc<str>, StoreError> {
        if let Some(text) = self.find(app, &key) {
            return Ok(text);
        }
        let _alone = self.making.lock().await;
        // Somebody else may have made it meanwhile.
        if let Some(text) = self.find(app, &key) {
            return Ok(text);
        }
        let began = Instant::now();
        let text: Arc<str> = make().await?.into();
        let made = Instant::now();
        let kept_for = match key {
            Key::Gauges => GAUGES_KEPT,
            Key::Page(_) | Key::Feed(_) | Key::Waiting => KEPT,
        };
        let until = made + kept_for.max(TIMES_MADE * (made - began));
        let mut kept = self.lock();
        kept.retain(|_, answer| made < answer.until);
        if kept.len() >= ANSWERS_MAX
            && let Some(oldest) = kept
                .iter()
                .min_by_key(|(_, answer)| answer.made)
                .map(|(key, _)| key.clone())
        {
            kept.remove(&oldest);
        }
        kept.insert(
            key,
            Kept {
                app: Arc::downgrade(app),
                made,
                until,
                text: Arc::clone(&text),
            },
        );
        Ok(text)
    }

    fn find(&self, app: &Arc<App>, key: &Key) -> Option<Arc<str>> {
        let kept = self.lock();
        let found = kept.get(key)?;
        let is_fresh = Instant::now() < found.until && Weak::ptr_eq(&found.app, &Arc::downgrade(app));
        is_fresh.then(|| Arc::clone(&found.text))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Kept>> {
        // Each answer is put in whole.
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
