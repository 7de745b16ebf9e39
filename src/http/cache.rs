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
        let text: Arc<str> = make().await?.into();
        let mut kept = self.lock();
        kept.retain(|_, answer| answer.made.elapsed() < KEPT);
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
                made: Instant::now(),
                text: Arc::clone(&text),
            },
        );
        Ok(text)
    }

    fn find(&self, app: &Arc<App>, key: &Key) -> Option<Arc<str>> {
        let max = match key {
            // A scrape should see what is so now; a flood of them still costs little.
            Key::Gauges => Duration::from_secs(1),
            Key::Page(_) | Key::Feed(_) | Key::Waiting => KEPT,
        };
        let kept = self.lock();
        let found = kept.get(key)?;
        let is_fresh = found.made.elapsed() < max && Weak::ptr_eq(&found.app, &Arc::downgrade(app));
        is_fresh.then(|| Arc::clone(&found.text))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Kept>> {
        // Each answer is put in whole.
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
