//! One request, repeated while that can help: what OAI-PMH and the feeds have in common.

use std::time::Duration;

use reqwest::Url;

use super::{
    Fetcher,
    client::FetchError,
    patience::{Patience, TRIES_MAX},
};
use crate::{
    arxiv::{
        FeedError,
        oai::{self, OaiError},
        rss,
        setlist::{self, SetList},
    },
    clock::{Clock, SystemClock},
    store::StoreError,
};

/// An answer that a request can be repeated for.
pub(super) trait Readable: Sized + Send + 'static {
    /// Why it cannot be read.
    type Error: std::error::Error + Send + 'static;

    /// Reads it.
    fn parse(body: &[u8]) -> Result<Self, Self::Error>;

    /// Whether the same request may bring a better answer at once: a page that broke off, but not a refusal in
    /// so many words.
    fn is_passing(error: &Self::Error) -> bool;
}

impl Readable for oai::Page {
    type Error = OaiError;

    fn parse(body: &[u8]) -> Result<Self, OaiError> {
        oai::parse(body)
    }

    fn is_passing(error: &OaiError) -> bool {
        matches!(error, OaiError::Document(_))
    }
}

impl Readable for SetList {
    type Error = OaiError;

    fn parse(body: &[u8]) -> Result<Self, OaiError> {
        setlist::parse(body)
    }

    fn is_passing(error: &OaiError) -> bool {
        matches!(error, OaiError::Document(_))
    }
}

impl Readable for rss::Feed {
    type Error = FeedError;

    fn parse(body: &[u8]) -> Result<Self, FeedError> {
        rss::parse(body)
    }

    fn is_passing(error: &FeedError) -> bool {
        !matches!(error, FeedError::ApiError { .. })
    }
}

/// Why no answer came that could be used.
#[derive(Debug)]
pub(super) enum Failed<E> {
    /// None came at all, in words.
    NoAnswer(String),
    /// All requests are stopped for longer than this run can wait, in words.
    Stopped(String),
    /// The last one could not be read, or was a refusal.
    Unusable(E),
}

impl<E: std::error::Error> std::fmt::Display for Failed<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoAnswer(why) | Self::Stopped(why) => f.write_str(why),
            Self::Unusable(error) => {
                write!(f, "{error}")?;
                error.source().map_or(Ok(()), |source| write!(f, ": {source}"))
            }
        }
    }
}

/// What a request came to, with the time that arXiv asked to wait.
type Attempt<T, E> = Result<T, (Failed<E>, bool, Option<Duration>)>;

impl Fetcher {
    /// Asks for one address until the answer can be read or patience ends; at least once.
    pub(super) async fn persist<T: Readable>(
        &self,
        url: &Url,
        timeout: Duration,
        patience: &mut Patience,
        n_requests: &mut u64,
    ) -> Result<Result<T, Failed<T::Error>>, StoreError> {
        let mut n_failed = 0;
        loop {
            let began = tokio::time::Instant::now();
            let (failed, is_passing, retry_after) = match self.attempt::<T>(url, timeout, n_requests).await? {
                Ok(answer) => return Ok(Ok(answer)),
                Err(failure) => failure,
            };
            n_failed += 1;
            patience.spend(began.elapsed());
            if !is_passing {
                return Ok(Err(failed));
            }
            let Some(delay) = patience.delay(n_failed, retry_after) else {
                return Ok(Err(failed));
            };
            let why = failed.to_string();
            tracing::info!(%url, why, n_failed, n_tries_max = TRIES_MAX, delay = %humantime::format_duration(delay), "arXiv is asked again");
            self.wait(delay, &why).await;
        }
    }

    async fn attempt<T: Readable>(
        &self,
        url: &Url,
        timeout: Duration,
        n_requests: &mut u64,
    ) -> Result<Attempt<T, T::Error>, StoreError> {
        *n_requests += 1;
        let answer = match self.client.get(url.clone(), timeout).await {
            Ok(answer) => answer,
            Err(FetchError::Store(error)) => return Err(error),
            Err(FetchError::Closed(closed)) => {
                *n_requests -= 1;
                let left = (closed.until - SystemClock.now()).to_std().unwrap_or_default();
                return Ok(Err((
                    Failed::Stopped(closed.to_string()),
                    !closed.forbidden,
                    Some(left),
                )));
            }
            Err(error @ FetchError::Forbidden { .. }) => {
                return Ok(Err((Failed::Stopped(error.to_string()), false, None)));
            }
            Err(error) => {
                let retry_after = match &error {
                    FetchError::Busy { retry_after, .. } => *retry_after,
                    _ => None,
                };
                return Ok(Err((
                    Failed::NoAnswer(error.to_string()),
                    error.is_transient(),
                    retry_after,
                )));
            }
        };
        // Parsing a page of megabytes takes long enough to keep other tasks waiting.
        Ok(
            match tokio::task::spawn_blocking(move || T::parse(&answer.body)).await {
                Ok(Ok(page)) => Ok(page),
                Ok(Err(error)) => {
                    let is_passing = T::is_passing(&error);
                    Err((Failed::Unusable(error), is_passing, None))
                }
                Err(error) => Err((
                    Failed::NoAnswer(format!("reading the answer failed: {error}")),
                    false,
                    None,
                )),
            },
        )
    }
}
