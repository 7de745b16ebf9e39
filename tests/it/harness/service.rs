//! The program without a relay: what it fetches and records for one subscriber.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use paperround::{
    admin,
    app::{App, load_config},
    clock::ManualClock,
    config::Environment,
    model::{Paper, SubscriberId, SubscriberState},
    run::{self, Report},
    store::{Store, memory::MemoryStore},
};
use tokio_util::sync::CancellationToken;

use super::{app::Mail, interfaces::at};

/// One subscriber's service on a store in memory.
pub(crate) struct Service {
    pub(crate) app: App,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<dyn Store>,
    dir: PathBuf,
}

impl Service {
    /// A service that reads from `base`; `keywords` is TOML.
    pub(crate) fn new(dir: &Path, base: &str, source: &str, keywords: &str, now: &str) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        Self::on(store, dir, base, source, keywords, now)
    }

    pub(crate) fn on(store: Arc<dyn Store>, dir: &Path, base: &str, source: &str, keywords: &str, now: &str) -> Self {
        let text = format!(
            "schedule = \"0 7 * * *\"\nstate_dir = \"state\"\n[arxiv]\nsource = \"{source}\"\ncontact = \"mailto:test@example.org\"\n\
             api_url = \"{base}/api/query\"\noai_url = \"{base}/oai\"\nrss_url = \"{base}/rss\"\nrequest_interval = \"0s\"\n\
             retry_delay = \"5ms\"\nretry_budget = \"1s\"\ntimeout = \"5s\"\npage_size = 2000\n\
             [mail]\nfrom = \"papers@example.org\"\ntransport = \"maildir\"\nmaildir = \"out\"\n\
             [report]\nto = [\"ops@example.org\"]\n\
             [[subscriber]]\nemail = \"ana@example.net\"\n{keywords}\n"
        );
        let path = dir.join("config.toml");
        std::fs::write(&path, text).expect("the folder can be written");
        let loaded = load_config(&path, &Environment::default()).expect("the configuration is right");
        let clock = Arc::new(ManualClock::new(at(now)));
        let app = App::build(loaded, Arc::clone(&store), clock.clone()).expect("everything can be built");
        Self {
            app,
            clock,
            store,
            dir: dir.to_owned(),
        }
    }

    pub(crate) async fn fetch(&self) -> Report {
        let mut report = Report::default();
        run::fetch_and_record(&self.app.run, &self.app.roster, &mut report)
            .await
            .expect("the store works");
        report
    }

    /// One run for everyone at that moment, with what follows a run.
    pub(crate) async fn run_and_conclude(&self, now: &str) -> Report {
        self.clock.set(at(now));
        let report = admin::run_everyone(&self.app, &CancellationToken::new())
            .await
            .expect("the store works");
        admin::conclude(&self.app, report.is_complete())
            .await
            .expect("the store works");
        report
    }

    /// How many mails the operator has got.
    pub(crate) fn n_told(&self) -> usize {
        let folder = std::fs::read_dir(self.dir.join("out/new"))
            .into_iter()
            .flatten()
            .flatten();
        let mails = folder.filter_map(|file| std::fs::read_to_string(file.path()).ok());
        mails.filter(|mail| mail.contains("ops@example.org")).count()
    }

    /// The papers of all mails to the subscriber, in order; what came twice stands there twice.
    pub(crate) fn mailed(&self) -> Vec<String> {
        let folder = std::fs::read_dir(self.dir.join("out/new"))
            .into_iter()
            .flatten()
            .flatten();
        let mails = folder.filter_map(|file| std::fs::read(file.path()).ok());
        let mut papers: Vec<String> = mails.flat_map(|mail| Mail::parse(&mail, "").papers()).collect();
        papers.sort();
        papers
    }

    pub(crate) async fn state(&self) -> SubscriberState {
        self.state_of("ana@example.net").await
    }

    async fn state_of(&self, email: &str) -> SubscriberState {
        self.store
            .subscribers(&[SubscriberId(email.into())])
            .await
            .expect("the store works")
            .remove(0)
            .value
    }

    /// The papers that were recorded for the subscriber.
    pub(crate) async fn recorded(&self) -> Vec<String> {
        self.recorded_for("ana@example.net").await
    }

    /// The same for one of several.
    pub(crate) async fn recorded_for(&self, email: &str) -> Vec<String> {
        let state = self.state_of(email).await;
        state.pending.keys().map(ToString::to_string).collect()
    }

    /// The stored text of a paper.
    pub(crate) async fn paper(&self, id: &str) -> Paper {
        let id = id.parse().expect("it is an identifier");
        let stored = self.store.latest_papers(&[id]).await.expect("the store works");
        stored.into_iter().flatten().next().expect("it is stored").paper
    }
}
