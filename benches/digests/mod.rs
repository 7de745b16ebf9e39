//! A day's digests as the benchmarks make them, and what makes mails of them.

use std::{fs, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use paperround::{
    mail::{
        compose::{Composer, KnownMarks, Sender},
        dkim::{Signer, SigningKey},
        message::Mailbox,
    },
    model::{
        CoverageNote, DigestId, DigestKind, DigestRecord, Paper, PaperRecord, SectionRecord, Shown, SubscriberId, Term,
    },
    render::{Renderer, Settings},
    token::{Keys, TokenKey},
};

/// Each subscriber follows three of them.
const KEYWORDS: [&str; 20] = [
    "large language model",
    "diffusion model",
    "graph neural network",
    "reinforcement learning",
    "retrieval-augmented generation",
    "vision-language model",
    "neural architecture search",
    "knowledge graph",
    "multi-agent",
    "federated learning",
    "world model",
    "chain-of-thought",
    "time series",
    "causal inference",
    "speech recognition",
    "program synthesis",
    "quantum",
    "autonomous driving",
    "explainable",
    "medical imaging",
];

/// The digest of one subscriber: all of these papers, under three keywords.
pub(crate) fn record(number: usize, papers: &[Paper]) -> DigestRecord {
    let keywords = (0..3)
        .map(|index| KEYWORDS[(number + index * 7) % KEYWORDS.len()])
        .map(|keyword| (keyword.to_owned(), Term::phrase(keyword)))
        .collect();
    let rows = papers.iter().map(|paper| PaperRecord {
        id: paper.id.clone(),
        version: paper.version,
        shown: Shown::Full,
        also: vec![1, 2],
        replaces: None,
        changes: None,
    });
    DigestRecord {
        id: DigestId {
            subscriber: SubscriberId(format!("reader{number}").into()),
            number: 1,
        },
        kind: DigestKind::Digest,
        address: format!("reader{number}@example.net"),
        name: None,
        frozen_at: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_494),
        zone: "Europe/Berlin".to_owned(),
        keywords,
        sections: vec![SectionRecord {
            keyword: 0,
            papers: rows.collect(),
            n_waiting: 0,
            n_skipped: 0,
        }],
        coverage: CoverageNote {
            current: true,
            n_complete: 3,
            n_keywords: 3,
            n_fetched: papers.len(),
            n_new: papers.len(),
            ..CoverageNote::default()
        },
        shared: false,
    }
}

/// What makes mails of them, signed by RSA-2048 or not.
pub(crate) fn composer(signed: bool) -> Composer {
    let public_url = Some("https://papers.example.org".to_owned());
    let settings = Settings {
        public_url: public_url.clone(),
        contact: Some("ops@example.org".to_owned()),
        ..Settings::default()
    };
    let key = TokenKey::from_bytes("k1", [7; 32]).expect("32 bytes are a key");
    Composer {
        renderer: Arc::new(Renderer::new(settings).expect("the built-in templates load")),
        keys: Arc::new(Keys::new(vec![key]).expect("one key is enough")),
        sender: Sender {
            from: Mailbox::new(Some("Paper round"), "papers@example.org"),
            reply_to: None,
            list_id: "papers.example.org".to_owned(),
            list_label: "Paper round".to_owned(),
            feedback_sender: "exampleorg".to_owned(),
            public_url,
            help_url: None,
            unsubscribe_address: Some("leave@example.org".to_owned()),
            owner: Some("ops@example.org".to_owned()),
        },
        signer: signed.then(signer),
        known: KnownMarks::default(),
    }
}

pub(crate) fn signer() -> Signer {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/mail/dkim/rsa-test-key.pem");
    let key = SigningKey::parse(&fs::read_to_string(path).expect("the tests' key is there")).expect("it is a key");
    Signer::new("example.org", vec![("rsa1".to_owned(), key)]).expect("a domain and one key")
}
