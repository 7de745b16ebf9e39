//! What is counted where it happens, for `/metrics` (OpenMetrics 1.0).
//!
//! Gauges of stored state are not here: they are read from the store when somebody asks. Every label is one of a few
//! words; no label holds an address.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Upper bounds of the run durations, in seconds: from a run that had nothing to do to one that waited for arXiv all
/// through its budget.
const RUN_SECONDS: [f64; 9] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 10_800.0];
/// Everything of ours begins with this.
pub const PREFIX: &str = "paperround";

/// Counters with `N` labels of few values each.
type Counters<const N: usize> = Family<[(&'static str, &'static str); N], Counter>;

/// The counters of one process. They start at zero with it and live through reloads.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    attempts: Counters<1>,
    runs: Counters<1>,
    run_duration: Histogram,
    arxiv_requests: Counters<1>,
    reader_actions: Counters<1>,
    web_requests: Counters<2>,
}

/// How an attempt to hand a mail over ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attempt {
    /// The relay took it.
    Accepted,
    /// The recipient was refused for now.
    TransientRecipient,
    /// The relay failed.
    TransientRelay,
    /// The recipient was refused for good.
    PermanentRecipient,
    /// The message was refused for good.
    PermanentMessage,
    /// The operator must act.
    Configuration,
    /// Nobody knows whether it was taken.
    Unconfirmed,
    /// It was stopped before the message itself: the reader left or paused meanwhile.
    Cancelled,
}

/// How a request to arXiv ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Request {
    /// A whole answer.
    Answered,
    /// Too many requests, or out of service.
    Busy,
    /// The request was refused.
    Refused,
    /// All access is denied.
    Forbidden,
    /// No whole answer.
    Broken,
}

/// What a reader did through a link of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reader {
    /// Left.
    Leave,
    /// Took that back.
    Undo,
    /// Paused.
    Pause,
    /// Ended the pause.
    Resume,
}

/// What was asked of the web endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// `/u/`: leaving and pausing.
    Reader,
    /// `/d/`: a digest.
    Digest,
    /// `/s/`: a feed.
    Feed,
    /// `/`: the page.
    Page,
    /// Health, readiness and metrics.
    Health,
    /// Anything else.
    Other,
}

impl Attempt {
    const ALL: [Self; 8] = [
        Self::Accepted,
        Self::TransientRecipient,
        Self::TransientRelay,
        Self::PermanentRecipient,
        Self::PermanentMessage,
        Self::Configuration,
        Self::Unconfirmed,
        Self::Cancelled,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::TransientRecipient => "transient_recipient",
            Self::TransientRelay => "transient_relay",
            Self::PermanentRecipient => "permanent_recipient",
            Self::PermanentMessage => "permanent_message",
            Self::Configuration => "configuration",
            Self::Unconfirmed => "unconfirmed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Request {
    const ALL: [Self; 5] = [Self::Answered, Self::Busy, Self::Refused, Self::Forbidden, Self::Broken];

    fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Busy => "busy",
            Self::Refused => "refused",
            Self::Forbidden => "forbidden",
            Self::Broken => "broken",
        }
    }
}

impl Reader {
    const ALL: [Self; 4] = [Self::Leave, Self::Undo, Self::Pause, Self::Resume];

    fn label(self) -> &'static str {
        match self {
            Self::Leave => "leave",
            Self::Undo => "undo",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }
}

impl Route {
    const ALL: [Self; 6] = [
        Self::Reader,
        Self::Digest,
        Self::Feed,
        Self::Page,
        Self::Health,
        Self::Other,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Digest => "digest",
            Self::Feed => "feed",
            Self::Page => "page",
            Self::Health => "health",
            Self::Other => "other",
        }
    }
}

/// How requests to the web endpoint end.
const ENDS: [&str; 3] = ["ok", "refused", "failed"];

/// Whether a run did all that it set out to do.
fn result(is_complete: bool) -> &'static str {
    if is_complete { "complete" } else { "incomplete" }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Counters at zero, with every value that their labels can take, so that a first event is an increase.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let attempts = Counters::default();
        registry.register(
            "delivery_attempts",
            "Attempts to hand a mail over, by how they ended",
            attempts.clone(),
        );
        let runs = Counters::default();
        registry.register(
            "runs",
            "Runs by whether all that they set out to do was done",
            runs.clone(),
        );
        let run_duration = Histogram::new(RUN_SECONDS);
        registry.register_with_unit(
            "run_duration",
            "How long runs took",
            Unit::Seconds,
            run_duration.clone(),
        );
        let arxiv_requests = Counters::default();
        registry.register(
            "arxiv_requests",
            "Requests to arXiv, by how they ended",
            arxiv_requests.clone(),
        );
        let reader_actions = Counters::default();
        registry.register(
            "reader_actions",
            "What readers did through the links in their mails",
            reader_actions.clone(),
        );
        let web_requests = Counters::default();
        registry.register("web_requests", "Requests to the web endpoint", web_requests.clone());
        for outcome in Attempt::ALL {
            drop(attempts.get_or_create(&[("outcome", outcome.label())]));
        }
        for is_complete in [true, false] {
            drop(runs.get_or_create(&[("result", result(is_complete))]));
        }
        for request in Request::ALL {
            drop(arxiv_requests.get_or_create(&[("result", request.label())]));
        }
        for action in Reader::ALL {
            drop(reader_actions.get_or_create(&[("action", action.label())]));
        }
        for route in Route::ALL {
            for end in ENDS {
                drop(web_requests.get_or_create(&[("route", route.label()), ("result", end)]));
            }
        }
        Self {
            registry,
            attempts,
            runs,
            run_duration,
            arxiv_requests,
            reader_actions,
            web_requests,
        }
    }

    /// All of it, to be written out.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// An attempt has ended.
    pub fn attempted(&self, outcome: Attempt) {
        self.attempts.get_or_create(&[("outcome", outcome.label())]).inc();
    }

    /// A run has ended.
    pub fn run_ended(&self, is_complete: bool, duration: Duration) {
        self.runs.get_or_create(&[("result", result(is_complete))]).inc();
        self.run_duration.observe(duration.as_secs_f64());
    }

    /// A request to arXiv has ended.
    pub fn requested(&self, request: Request) {
        self.arxiv_requests.get_or_create(&[("result", request.label())]).inc();
    }

    /// A number that grows with each answer of arXiv and each outcome of a mail.
    pub fn progress(&self) -> u64 {
        let attempts = Attempt::ALL.map(|outcome| self.attempts.get_or_create(&[("outcome", outcome.label())]).get());
        let requests = Request::ALL.map(|end| self.arxiv_requests.get_or_create(&[("result", end.label())]).get());
        attempts.iter().chain(&requests).sum()
    }

    /// A reader did something.
    pub fn reader_did(&self, action: Reader) {
        self.reader_actions.get_or_create(&[("action", action.label())]).inc();
    }

    /// A request to the web endpoint was answered with this status.
    pub fn served(&self, route: Route, status: u16) {
        let [ok, refused, failed] = ENDS;
        let end = match status {
            ..400 => ok,
            400..500 => refused,
            _ => failed,
        };
        self.web_requests
            .get_or_create(&[("route", route.label()), ("result", end)])
            .inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_written_with_their_units_and_from_the_start() {
        let metrics = Metrics::new();
        metrics.attempted(Attempt::TransientRelay);
        metrics.requested(Request::Busy);
        assert_eq!(metrics.progress(), 2);
        metrics.run_ended(false, Duration::from_secs(2));
        metrics.served(Route::Reader, 404);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, metrics.registry()).unwrap();
        for line in [
            "paperround_delivery_attempts_total{outcome=\"transient_relay\"} 1",
            "paperround_delivery_attempts_total{outcome=\"accepted\"} 0",
            "paperround_runs_total{result=\"incomplete\"} 1",
            "paperround_run_duration_seconds_bucket{le=\"5.0\"} 1",
            "paperround_web_requests_total{route=\"reader\",result=\"refused\"} 1",
            "paperround_web_requests_total{route=\"reader\",result=\"failed\"} 0",
            "paperround_reader_actions_total{action=\"leave\"} 0",
            "paperround_arxiv_requests_total{result=\"forbidden\"} 0",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
        }
    }
}
