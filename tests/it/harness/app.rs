//! The program between an invented arXiv and a relay, day after day, with a calendar that tests move.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_parser::MessageParser;
use paperround::{
    admin,
    app::{self, App},
    clock::{Clock, ManualClock},
    config::Environment,
    model::{EntryState, OutboxEntry, SubscriberState},
    run::Report,
    store::{EntryFilter, Store, sled::SledStore},
};
use tokio_util::sync::CancellationToken;

use super::{
    arxiv::ArxivServer,
    papers::{Paper, instant},
    smtp::{Accepted, Script, SmtpServer},
};

/// What `config.toml` says.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    top: Vec<String>,
    arxiv: BTreeMap<String, String>,
    mail: BTreeMap<String, String>,
    digest: BTreeMap<String, String>,
    sections: Vec<String>,
    people: BTreeMap<String, Vec<String>>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    pub(crate) fn new() -> Self {
        let table = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        Self {
            top: Vec::new(),
            arxiv: table(&[
                ("contact", "\"mailto:ops@example.org\""),
                ("request_interval", "\"0ms\""),
                ("retry_delay", "\"1ms\""),
                ("retry_budget", "\"5s\""),
                ("timeout", "\"2s\""),
            ]),
            mail: table(&[
                ("from", "\"Paper round <papers@example.org>\""),
                ("transport", "\"smtp\""),
                ("host", "\"127.0.0.1\""),
                ("tls", "\"none\""),
                ("hello", "\"host.example.org\""),
            ]),
            digest: BTreeMap::new(),
            sections: Vec::new(),
            people: BTreeMap::new(),
        }
    }

    /// A subscriber with these keywords.
    pub(crate) fn subscriber(self, email: &str, keywords: &[&str]) -> Self {
        self.subscriber_with(email, &[&format!("keywords = {keywords:?}")])
    }

    /// A subscriber with these lines in their table.
    pub(crate) fn subscriber_with(mut self, email: &str, lines: &[&str]) -> Self {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        self.people.insert(email.to_owned(), lines);
        self
    }

    pub(crate) fn without(mut self, email: &str) -> Self {
        self.people.remove(email);
        self
    }

    /// A line before the first section.
    pub(crate) fn line(mut self, line: &str) -> Self {
        self.top.push(line.to_owned());
        self
    }

    pub(crate) fn arxiv(mut self, key: &str, value: &str) -> Self {
        self.arxiv.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn mail(mut self, key: &str, value: &str) -> Self {
        self.mail.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn digest(mut self, key: &str, value: &str) -> Self {
        self.digest.insert(key.to_owned(), value.to_owned());
        self
    }

    /// A whole section or table as it stands in the file.
    pub(crate) fn section(mut self, text: &str) -> Self {
        self.sections.push(text.to_owned());
        self
    }

    /// The file.
    pub(crate) fn text(&self, arxiv: &ArxivServer, smtp_port: u16) -> String {
        let mut text = String::new();
        for line in &self.top {
            writeln!(text, "{line}").expect("a string takes everything");
        }
        let mut section = |name: &str, pairs: &BTreeMap<String, String>| {
            writeln!(text, "[{name}]").expect("a string takes everything");
            for (key, value) in pairs {
                writeln!(text, "{key} = {value}").expect("a string takes everything");
            }
        };
        let mut asked = self.arxiv.clone();
        for key in ["api_url", "oai_url", "rss_url"] {
            asked
                .entry(key.to_owned())
                .or_insert_with(|| format!("\"{}\"", arxiv.url()));
        }
        section("arxiv", &asked);
        let mut mail = self.mail.clone();
        if mail
            .get("transport")
            .is_some_and(|transport| transport.contains("smtp"))
        {
            mail.entry("port".to_owned()).or_insert_with(|| smtp_port.to_string());
        }
        section("mail", &mail);
        section("digest", &self.digest);
        for other in &self.sections {
            writeln!(text, "{other}").expect("a string takes everything");
        }
        for (email, lines) in &self.people {
            writeln!(text, "[[subscriber]]\nemail = \"{email}\"\n{}", lines.join("\n"))
                .expect("a string takes everything");
        }
        text
    }

    /// Starts arXiv and the relay, and puts the file in place.
    pub(crate) async fn start(self) -> TestApp {
        let arxiv = ArxivServer::start().await;
        let smtp = SmtpServer::start(Script::default()).await;
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let app = TestApp {
            arxiv,
            smtp,
            setup: self,
            clock: Arc::new(ManualClock::new(instant("2026-02-01"))),
            store: None,
            n_read: 0,
            dir,
        };
        app.write_config();
        app
    }
}

/// The program and its surroundings.
pub(crate) struct TestApp {
    pub(crate) arxiv: ArxivServer,
    pub(crate) smtp: SmtpServer,
    pub(crate) setup: Setup,
    pub(crate) clock: Arc<ManualClock>,
    store: Option<Arc<dyn Store>>,
    n_read: usize,
    pub(crate) dir: tempfile::TempDir,
}

impl TestApp {
    pub(crate) fn announce(&self, evening: &str, papers: impl IntoIterator<Item = Paper>) -> Vec<String> {
        self.arxiv.announce(evening, papers)
    }

    /// Another configuration from the next run on.
    pub(crate) fn reconfigure(&mut self, change: impl FnOnce(Setup) -> Setup) {
        self.setup = change(self.setup.clone());
        self.write_config();
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write_config(&self) {
        std::fs::write(self.config_path(), self.setup.text(&self.arxiv, self.smtp.port))
            .expect("the directory is writable");
    }

    /// The program as it would start now, around the store that the days share.
    pub(crate) async fn build(&mut self) -> App {
        let store = self.store().await;
        self.build_on(store)
    }

    /// The program around another store.
    pub(crate) fn build_on(&self, store: Arc<dyn Store>) -> App {
        let loaded = app::load_config(&self.config_path(), &Environment::default())
            .unwrap_or_else(|problems| panic!("the configuration has problems: {problems:?}"));
        App::build(loaded, store, Arc::clone(&self.clock) as Arc<dyn Clock>).expect("the settings can be used")
    }

    pub(crate) async fn store(&mut self) -> Arc<dyn Store> {
        if self.store.is_none() {
            let opened = SledStore::open(&self.dir.path().join("state/store"), self.clock.now())
                .await
                .expect("the store opens");
            self.store = Some(Arc::new(opened.store));
        }
        Arc::clone(self.store.as_ref().expect("it was opened above"))
    }

    /// The process ends; the next run opens the state anew.
    pub(crate) fn end_process(&mut self) {
        self.store = None;
    }

    /// Moves both calendars, that of the program and that of arXiv.
    pub(crate) fn it_is(&self, moment: &str) {
        let now = instant(moment);
        self.clock.set(now);
        self.arxiv.set_now(now);
    }

    /// One run for everyone at that moment; a bare day means its morning.
    pub(crate) async fn run_on(&mut self, moment: &str) -> Report {
        self.it_is(moment);
        let app = self.build().await;
        admin::run_everyone(&app, &CancellationToken::new())
            .await
            .expect("the store works")
    }

    /// One run for those whose slot has come.
    pub(crate) async fn run_due_on(&mut self, moment: &str) -> Report {
        self.it_is(moment);
        let app = self.build().await;
        admin::run_due(&app, &CancellationToken::new())
            .await
            .expect("the store works")
    }

    /// All mails that the relay took, in order.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.smtp.accepted().iter().map(Mail::read).collect()
    }

    /// Those since the last call of this method, by recipient: several connections bring the mails of different
    /// people in no certain order. Those to one person stand in the order in which they came.
    pub(crate) fn new_mails(&mut self) -> Vec<Mail> {
        let all = self.mails();
        let mut new = all[self.n_read..].to_vec();
        self.n_read = all.len();
        new.sort_by(|a, b| a.to.cmp(&b.to));
        new
    }

    /// The papers of all new mails to this subscriber, in the order in which they came.
    pub(crate) fn new_papers_of(&mut self, email: &str) -> Vec<String> {
        let mails = self.new_mails();
        mails
            .iter()
            .filter(|mail| mail.to == email)
            .flat_map(Mail::papers)
            .collect()
    }

    /// Every paper that this subscriber ever got, sorted; what came twice stands there twice.
    pub(crate) fn papers_of(&self, email: &str) -> Vec<String> {
        let mut papers: Vec<String> = self
            .mails()
            .iter()
            .filter(|mail| mail.to == email)
            .flat_map(Mail::papers)
            .collect();
        papers.sort();
        papers
    }

    pub(crate) async fn state_of(&mut self, id: &str) -> SubscriberState {
        let store = self.store().await;
        let id = paperround::model::SubscriberId(id.into());
        let mut states = store.subscribers(&[id]).await.expect("the store reads");
        states.pop().expect("one was asked for").value
    }

    pub(crate) async fn outbox(&mut self) -> Vec<OutboxEntry> {
        let store = self.store().await;
        let entries = store.entries(&EntryFilter::default()).await.expect("the store reads");
        entries.into_iter().map(|entry| entry.value).collect()
    }

    pub(crate) async fn n_held(&mut self) -> usize {
        self.outbox()
            .await
            .iter()
            .filter(|entry| entry.state == EntryState::Held)
            .count()
    }
}

/// A mail as its reader gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) message_id: String,
    pub(crate) text: String,
    pub(crate) html: String,
    pub(crate) bytes: Vec<u8>,
}

impl Mail {
    pub(crate) fn read(accepted: &Accepted) -> Self {
        Self::parse(&accepted.bytes, &accepted.recipient)
    }

    pub(crate) fn parse(bytes: &[u8], recipient: &str) -> Self {
        let message = MessageParser::default().parse(bytes).expect("a mail can be read");
        Self {
            to: recipient.to_owned(),
            subject: message.subject().unwrap_or_default().to_owned(),
            message_id: message.message_id().unwrap_or_default().to_owned(),
            text: message.body_text(0).unwrap_or_default().into_owned(),
            html: message.body_html(0).unwrap_or_default().into_owned(),
            bytes: bytes.to_owned(),
        }
    }

    /// The identifiers of its papers as its text part lists them.
    pub(crate) fn papers(&self) -> Vec<String> {
        identifiers(&self.text)
    }

    /// The head as it travels.
    pub(crate) fn head(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        text.split("\r\n\r\n").next().unwrap_or_default().to_owned()
    }
}

fn identifiers(text: &str) -> Vec<String> {
    text.split("arxiv.org/abs/")
        .skip(1)
        .map(|rest| {
            rest.chars()
                .take_while(|c| c.is_ascii_digit() || *c == '.')
                .collect::<String>()
        })
        .map(|id: String| id.trim_end_matches('.').to_owned())
        .collect()
}

/// A list in order, for comparisons.
pub(crate) fn sorted(list: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut list: Vec<String> = list.into_iter().collect();
    list.sort();
    list
}

/// Every file below a directory with its content.
pub(crate) fn files_below(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                files.insert(path, bytes);
            }
        }
    }
    files
}
