//! The composition root: the one module that knows every concrete type.
//!
//! It turns a configuration into the contexts that runs and deliveries work with; everything else receives
//! what it needs. The daemon, the command line, the demo and the tests all build the same [`App`].

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    process,
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use ring::rand::SystemRandom;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{Clock, ManualClock, SystemClock},
    config::{self, Config, Environment, Problem, Problems},
    delivery::{self, Transport, Way},
    digest,
    fetch::{
        self, Fetcher,
        client::{Client, ClientSettings},
        gate::Gate,
    },
    mail::{
        compose::{Composer, KnownMarks, Sender},
        dkim::{Signer, SigningKey},
        login::{AuthChoice, Login},
        message::Mailbox,
        relay::{Relay, RelaySettings},
        sendmail::Sendmail,
        tls::TlsMode,
        wire::Limits,
    },
    matching,
    metrics::Metrics,
    model::{Shown, Term, WorkerId},
    render::{self, Renderer},
    roster::{Person, Roster},
    run::{self, Empty, EnqueueSettings},
    standing::Standing,
    store::{
        Batch, DocumentKind, Store, StoreError, Versioned, documents, exports,
        memory::MemoryStore,
        postgres::{self, PostgresStore},
        recovery,
        sled::{FormerLife, Opened, SledStore},
    },
    token::{Bearer, Keys, OpaqueId, TokenKey},
};

/// How a command ended, as an exit status after sysexits.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Exit {
    /// Done, also when there was nothing to do.
    Done,
    /// Failed.
    Failed,
    /// Wrong usage.
    Usage,
    /// The state is damaged.
    Damaged,
    /// The state cannot be written.
    CannotWrite,
    /// Incomplete: nothing is lost, and the next run goes on.
    Incomplete,
    /// The configuration is wrong.
    Configuration,
}

impl Exit {
    /// The status for the operating system.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Damaged => 65,
            Self::CannotWrite => 74,
            Self::Incomplete => 75,
            Self::Configuration => 78,
        }
    }
}

/// Why the program could not go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration has problems.
    #[error(transparent)]
    Config(#[from] Problems),
    /// A file that the configuration names cannot be used.
    #[error("{0}")]
    Setting(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The command cannot be done as asked.
    #[error("{0}")]
    Usage(String),
    /// Another worker makes a run.
    #[error("the worker {0} makes the runs on this state; let it, or stop it and try again")]
    Busy(WorkerId),
    /// The daemon that carried the command out has ended before it answered.
    #[error(
        "{0} has ended in the middle of the command, stopped by a second signal or killed; nothing is lost, the next \
         start goes on from there, and then `paperround status` says what became of it"
    )]
    BrokenOff(String),
    /// The daemon was told to stop while it carried the command out.
    #[error("the daemon was told to stop; nothing is lost, the next run goes on from here")]
    Stopped,
    /// Anything else.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl AppError {
    /// The exit status that says what kind of failure this is.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Setting(_) => Exit::Configuration,
            Self::Store(StoreError::InUse(_) | StoreError::Conflict(_))
            | Self::Stopped
            | Self::BrokenOff(_)
            | Self::Busy(_) => Exit::Incomplete,
            Self::Store(StoreError::Damaged { .. } | StoreError::TooNew { .. }) => Exit::Damaged,
            Self::Store(StoreError::Io { .. } | StoreError::Unreachable { .. }) => Exit::CannotWrite,
            Self::Usage(_) => Exit::Usage,
            Self::Other(_) => Exit::Failed,
        }
    }
}

/// How an [`App`] is opened.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A calendar that stands at this moment, instead of the machine's.
    pub now: Option<DateTime<Utc>>,
    /// Work on a copy of the state in memory and leave the real one as it is.
    pub dry_run: bool,
}

/// Everything, put together.
#[derive(Debug)]
pub struct App {
    /// The configuration.
    pub config: Config,
    /// What deserves a warning in it.
    pub warnings: Vec<Problem>,
    /// The memory.
    pub store: Arc<dyn Store>,
    /// The calendar.
    pub clock: Arc<dyn Clock>,
    /// Who subscribes.
    pub roster: Roster,
    /// What runs work with.
    pub run: run::Context,
    /// What deliveries work with.
    pub delivery: delivery::Context,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whom the tokens in links name; addresses of lists have none.
    readers: HashMap<OpaqueId, usize>,
    /// Runs never overlap: whoever makes one holds this.
    pub run_lock: Arc<tokio::sync::Mutex<()>>,
    /// Cancelled when the process is to end: no new work, and no more waiting for arXiv. A mail in hand is finished.
    pub stop: CancellationToken,
    /// How the daemon stands, in a process that is one.
    pub standing: Arc<Standing>,
}

/// Reads and checks the configuration, with every term judged by the matcher that will use it.
pub fn load_config(path: &Path, environment: &Environment) -> Result<config::Loaded, Problems> {
    config::load(path, environment, &check_term)
}

fn check_term(term: &Term) -> Result<Vec<String>, String> {
    match matching::validate(term) {
        Ok(warnings) => Ok(warnings.iter().map(ToString::to_string).collect()),
        Err(error) => Err(error.to_string()),
    }
}

impl App {
    /// Opens the store and builds everything.
    pub async fn open(loaded: config::Loaded, options: &Options) -> Result<Self, AppError> {
        let clock: Arc<dyn Clock> = match options.now {
            Some(now) => Arc::new(ManualClock::new(now)),
            None => Arc::new(SystemClock),
        };
        let store = open_store(&loaded.config, &*clock, options.dry_run).await?;
        let mut app = Self::build(loaded, store, clock)?;
        if options.dry_run {
            app.run.exports_dir = None;
        }
        agree_on_keys(&app).await?;
        Ok(app)
    }

    /// Builds everything around a store that is open already.
    pub fn build(loaded: config::Loaded, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Self, AppError> {
        Self::assemble(loaded, store, clock, Arc::default(), None)
    }

    /// Builds everything anew around what outlives a configuration: the store, the calendar, the counters, the lock and
    /// the signal to stop.
    pub fn rebuild(&self, loaded: config::Loaded) -> Result<Self, AppError> {
        let mut app = Self::assemble(
            loaded,
            Arc::clone(&self.store),
            Arc::clone(&self.clock),
            Arc::clone(&self.metrics),
            Some(self.run.fetcher.client().gate()),
        )?;
        app.run_lock = Arc::clone(&self.run_lock);
        // The next run compiles the keywords anew only if they changed.
        app.run.lexicon = Arc::clone(&self.run.lexicon);
        app.stop = self.stop.clone();
        app.standing = Arc::clone(&self.standing);
        // What this process has claimed stays its own.
        app.delivery.worker = self.delivery.worker.clone();
        Ok(app)
    }

    /// The subscriber whom a genuine token names: configured now, and no list's address, since one member of a list must
    /// not act for all.
    pub fn reader(&self, bearer: &Bearer) -> Option<&Arc<Person>> {
        self.readers.get(&bearer.id).map(|index| &self.roster.people()[*index])
    }

    fn assemble(
        loaded: config::Loaded,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        former_gate: Option<&Gate>,
    ) -> Result<Self, AppError> {
        let config::Loaded { config, warnings } = loaded;
        let keys = Arc::new(load_keys(&config.mail.token_key_file)?);
        let renderer = Arc::new(renderer(&config)?);
        for problem in renderer.problems() {
            tracing::warn!(template = %problem.file.display(), why = %problem, "a template is refused; the built-in one is used");
        }
        let worker = WorkerId(format!(
            "{}.{}.{}",
            machine_name(),
            process::id(),
            SystemClock.now().timestamp_millis()
        ));
        let fetcher = Arc::new(fetcher(
            &config,
            Arc::clone(&store),
            Arc::clone(&metrics),
            worker.to_string(),
            former_gate,
        )?);
        let roster = Roster::new(config.subscribers().into_iter().map(person).collect());
        let readers = readers(&roster, &keys);
        let composer = Arc::new(Composer {
            renderer,
            keys,
            sender: sender(&config),
            signer: signer(&config)?,
            known: KnownMarks::default(),
        });
        let run = run::Context {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            fetcher,
            composer: Arc::clone(&composer),
            lexicon: Arc::default(),
            settings: Arc::new(run_settings(&config)),
            // A database has backups of its own.
            exports_dir: match config.store {
                config::StoreConfig::Sled => Some(exports_dir(&config)),
                config::StoreConfig::Postgres(_) => None,
            },
        };
        let delivery = delivery::Context {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            composer,
            transport: Arc::new(transport(&config)?),
            worker,
            metrics: Arc::clone(&metrics),
            settings: delivery_settings(&config),
        };
        Ok(Self {
            config,
            warnings,
            store,
            clock,
            roster,
            run,
            delivery,
            metrics,
            readers,
            run_lock: Arc::default(),
            stop: CancellationToken::new(),
            standing: Arc::default(),
        })
    }
}

fn readers(roster: &Roster, keys: &Keys) -> HashMap<OpaqueId, usize> {
    let people = roster.people().iter().enumerate();
    people
        .filter(|(_, person)| !person.shared)
        .flat_map(|(index, person)| keys.opaque_ids(&person.id).map(move |id| (id, index)))
        .collect()
}

async fn open_store(config: &Config, clock: &dyn Clock, dry_run: bool) -> Result<Arc<dyn Store>, AppError> {
    match &config.store {
        config::StoreConfig::Sled => open_sled(config, clock, dry_run).await,
        config::StoreConfig::Postgres(settings) => open_postgres(settings, dry_run).await,
    }
}

async fn open_postgres(settings: &postgres::Settings, dry_run: bool) -> Result<Arc<dyn Store>, AppError> {
    let opened = PostgresStore::open(settings).await?;
    if opened.created {
        tracing::warn!(
            database = %settings.address,
            "there was no state here: everyone counts as new and starts with first_digest"
        );
    }
    if dry_run {
        return Ok(Arc::new(MemoryStore::copy_of(&opened.store).await?));
    }
    Ok(Arc::new(opened.store))
}

/// Workers that share a state must sign with the same key: else a mail that goes again has another Message-ID, and
/// what one worker signs the others do not know.
async fn agree_on_keys(app: &App) -> Result<(), AppError> {
    const NOTE: &str = "token-keys";
    if app.store.claim_ttl().is_none() {
        return Ok(());
    }
    let own = app.delivery.composer.keys.fingerprints();
    loop {
        let mut known: Versioned<Vec<String>> = documents::load(&*app.store, DocumentKind::Note, NOTE).await?;
        // One of the two files may be newer, with a key in front of those that both know.
        let agrees = known.value.is_empty()
            || known.value.first().is_some_and(|current| own.contains(current))
            || own.first().is_some_and(|current| known.value.contains(current));
        if !agrees {
            return Err(AppError::Setting(format!(
                "mail.token_key_file: {} is not the key of the other workers on this database; copy theirs here",
                app.config.mail.token_key_file.display()
            )));
        }
        if own.iter().all(|key| known.value.contains(key)) {
            return Ok(());
        }
        known.value = own.clone();
        let batch = Batch {
            documents: vec![documents::to_write(DocumentKind::Note, NOTE, &known)?],
            ..Batch::default()
        };
        match app.store.commit(batch).await {
            Err(StoreError::Conflict(_)) => {}
            done => return Ok(done?),
        }
    }
}

async fn open_sled(config: &Config, clock: &dyn Clock, dry_run: bool) -> Result<Arc<dyn Store>, AppError> {
    let opened = open_or_recover(config, clock.now(), dry_run).await?;
    if opened.created {
        tracing::warn!(
            state_dir = %config.state_dir.display(),
            "there was no state here: everyone counts as new and starts with first_digest"
        );
    }
    if let Some(repaired) = &opened.repaired {
        tracing::warn!(repaired, "the state was opened after a repair");
    }
    let FormerLife {
        unsent,
        unconfirmed,
        held,
    } = &opened.former_life;
    if !unsent.is_empty() || !unconfirmed.is_empty() || !held.is_empty() {
        tracing::warn!(
            n_unsent = unsent.len(),
            n_unconfirmed = unconfirmed.len(),
            n_held = held.len(),
            "the process before this one ended while it was sending; its digests go on"
        );
    }
    if dry_run {
        return Ok(Arc::new(MemoryStore::copy_of(&opened.store).await?));
    }
    exports::resume(&opened.store, &exports_dir(config)).await?;
    Ok(Arc::new(opened.store))
}

/// Where the daily exports lie, beside the store.
pub fn exports_dir(config: &Config) -> PathBuf {
    config.state_dir.join("exports")
}

/// Opens the store; one that is damaged or gone is restored from the latest export, if there is one.
///
/// A dry run changes nothing, so it only says what is wrong.
async fn open_or_recover(config: &Config, now: DateTime<Utc>, dry_run: bool) -> Result<Opened, AppError> {
    let (store_dir, exports_dir) = (config.state_dir.join("store"), exports_dir(config));
    let why = match SledStore::open(&store_dir, now).await {
        Ok(opened) if !opened.created || !exports::exist(&exports_dir) => return Ok(opened),
        // Closed before its folder is moved.
        Ok(opened) => {
            drop(opened);
            "there was no state, but exports of one".to_owned()
        }
        Err(StoreError::Damaged { place, what }) if dry_run => {
            let what = format!("{what}; `paperround run` or `serve` restores the latest export, if there is one");
            return Err(StoreError::Damaged { place, what }.into());
        }
        Err(StoreError::Damaged { what, .. }) => what,
        Err(error) => return Err(error.into()),
    };
    if dry_run {
        return Err(AppError::Usage(format!(
            "{why}: {} is empty, but {} is not; `paperround run` or `serve` restores it",
            store_dir.display(),
            exports_dir.display()
        )));
    }
    tracing::error!(why, "the state is unusable; the latest export takes its place");
    let Some(recovery) = recovery::recover(&store_dir, &exports_dir, &why, now).await? else {
        return Err(StoreError::Damaged {
            place: store_dir.display().to_string(),
            what: format!(
                "{why}; and in {} there is no whole export of it. Keep a copy of the folder, move it away, and read an \
                 export back with `paperround state import` if you have one: a state that begins empty does not know \
                 what was sent",
                exports_dir.display()
            ),
        }
        .into());
    };
    tracing::error!("{}", recovery.in_words());
    Ok(SledStore::open(&store_dir, now).await?)
}

/// Reads the key file, or makes it on first start.
fn load_keys(path: &Path) -> Result<Keys, AppError> {
    let unusable = |why: &dyn std::fmt::Display| {
        AppError::Setting(format!("mail.token_key_file: {} cannot be used: {why}", path.display()))
    };
    match std::fs::read_to_string(path) {
        Ok(text) => Keys::parse(&text).map_err(|error| unusable(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            #[expect(clippy::disallowed_methods, reason = "the one place where chance enters")]
            let random = SystemRandom::new();
            let key = TokenKey::generate(&random).map_err(|error| unusable(&error))?;
            let keys = Keys::new(vec![key]).map_err(|error| unusable(&error))?;
            write_secret(path, &keys.to_text()).map_err(|error| unusable(&error))?;
            tracing::info!(path = %path.display(), "made the key that signs tokens and Message-IDs; keep it with the state");
            Ok(keys)
        }
        Err(error) => Err(unusable(&error)),
    }
}

/// Writes a file that only its owner can read, whole or not at all.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
}

fn renderer(config: &Config) -> Result<Renderer, AppError> {
    let digest = &config.digest;
    let contact = config.mail.reply_to.as_ref().unwrap_or(&config.mail.from);
    Renderer::new(render::Settings {
        links: digest
            .links
            .iter()
            .map(|link| render::ConfiguredLink {
                name: link.name.clone(),
                url: link.url.clone(),
            })
            .collect(),
        authors_max: digest.authors_max as usize,
        abstracts: shown(config),
        html_bytes_max: usize::try_from(digest.html_bytes_max).unwrap_or(usize::MAX),
        public_url: page_url(config),
        sender_name: sender_name(config),
        contact: Some(contact.address.clone()),
        templates_dir: digest.templates_dir.clone(),
    })
    .map_err(|error| AppError::Setting(error.to_string()))
}

fn lists_replacements(config: &Config) -> bool {
    matches!(config.digest.replacements, config::Replacements::List)
}

fn shown(config: &Config) -> Shown {
    match config.digest.abstracts {
        config::Abstracts::Full => Shown::Full,
        config::Abstracts::Short => Shown::Short,
        config::Abstracts::None => Shown::Title,
    }
}

fn sender_name(config: &Config) -> String {
    config.mail.from.name.clone().unwrap_or_else(|| "Paperround".to_owned())
}

fn fetcher(
    config: &Config,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    name: String,
    former_gate: Option<&Gate>,
) -> Result<Fetcher, AppError> {
    let arxiv = &config.arxiv;
    let gate = Gate::new(store, arxiv.request_interval, name);
    let gate = Arc::new(match former_gate {
        Some(former) => gate.beside(former),
        None => gate,
    });
    let settings = ClientSettings {
        contact: arxiv
            .contact
            .clone()
            .unwrap_or_else(|| "no contact configured".to_owned()),
        response_bytes_max: arxiv.response_bytes_max,
        retry_delay: arxiv.retry_delay,
    };
    check_proxies()?;
    let client = Client::new(settings, gate, metrics)
        .map_err(|error| anyhow::Error::new(error).context("the HTTP client cannot be made"))?;
    let address = |key: &str, text: &str| {
        text.parse()
            .map_err(|error| AppError::Setting(format!("arxiv.{key}: {text:?} is no address: {error}")))
    };
    Ok(Fetcher::new(
        client,
        fetch::Settings {
            source: match arxiv.source {
                config::Source::Query => fetch::Choice::Always(fetch::Source::Query),
                config::Source::Harvest => fetch::Choice::Always(fetch::Source::Harvest),
                config::Source::Auto => fetch::Choice::ByNumber,
            },
            api_url: address("api_url", &arxiv.api_url)?,
            oai_url: address("oai_url", &arxiv.oai_url)?,
            rss_url: address("rss_url", &arxiv.rss_url)?,
            oai_timeout: arxiv.oai_timeout,
            timeout: arxiv.timeout,
            lookback: delta(arxiv.lookback),
            lookback_deep: delta(arxiv.lookback_deep),
            page_size: arxiv.page_size,
            retry_delay: arxiv.retry_delay,
            retry_budget: arxiv.retry_budget,
        },
    ))
}

/// The variables that name a proxy for HTTP, in the order in which they count. Small letters as curl wants them.
const PROXY_VARIABLES: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// The HTTP client passes over a proxy that it cannot read, and what it then fails at names no proxy. The value is never
/// shown: it may hold a password.
fn check_proxies() -> Result<(), AppError> {
    for name in PROXY_VARIABLES {
        let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) else {
            continue;
        };
        let is_address = value.to_str().is_some_and(|text| {
            let with_scheme = if text.contains("://") {
                text.to_owned()
            } else {
                format!("http://{text}")
            };
            reqwest::Url::parse(&with_scheme).is_ok_and(|url| url.has_host())
        });
        if !is_address {
            return Err(AppError::Setting(format!(
                "the environment's {name} is not the address of a proxy; write it like http://proxy.example.org:3128, or \
                 unset it"
            )));
        }
    }
    Ok(())
}

fn run_settings(config: &Config) -> run::Settings {
    let digest = &config.digest;
    run::Settings {
        first_digest: delta(digest.first_digest),
        enqueue: EnqueueSettings {
            digest: digest::Settings {
                papers_max: digest.papers_max as usize,
                order: match digest.order {
                    config::Order::Newest => digest::Order::Newest,
                    config::Order::Strength => digest::Order::Strength,
                },
                shown: shown(config),
            },
            list_replacements: lists_replacements(config),
            empty: match digest.empty {
                config::Empty::Skip => Empty::Skip,
                config::Empty::Weekly => Empty::Weekly,
                config::Empty::Send => Empty::Send,
            },
            welcome: digest.welcome,
            from_domain: domain_of(&config.mail.from.address).to_owned(),
        },
    }
}

fn transport(config: &Config) -> Result<Transport, AppError> {
    let way = match &config.mail.transport {
        config::Transport::Smtp(relays) => Way::Smtp(relays.iter().map(relay).collect::<Result<_, _>>()?),
        config::Transport::Sendmail { program } => Way::Sendmail(Sendmail {
            program: program.clone(),
            ..Sendmail::default()
        }),
        config::Transport::Maildir { dir } => Way::Maildir(dir.clone()),
    };
    Ok(Transport::new(
        way,
        config.mail.envelope_sender.clone(),
        config.mail.verp,
    ))
}

fn relay(relay: &config::Relay) -> Result<Relay, AppError> {
    Relay::new(relay_settings(relay)).map_err(|error| AppError::Setting(format!("{}: {}", relay.name, chain(&error))))
}

fn relay_settings(relay: &config::Relay) -> RelaySettings {
    RelaySettings {
        name: relay.name.clone(),
        host: relay.host.clone(),
        port: relay.port,
        tls: match relay.tls {
            config::Tls::Implicit => TlsMode::Implicit,
            config::Tls::Starttls => TlsMode::Starttls,
            config::Tls::None => TlsMode::None,
        },
        ca_file: relay.ca_file.clone(),
        login: relay.credentials.as_ref().map(|credentials| Login {
            username: credentials.username.clone(),
            password: credentials.password.clone(),
            auth: match credentials.auth {
                config::Auth::Auto => AuthChoice::Auto,
                config::Auth::Plain => AuthChoice::Plain,
                config::Auth::Login => AuthChoice::Login,
                config::Auth::Xoauth2 => AuthChoice::Xoauth2,
            },
        }),
        hello: relay.hello.clone().unwrap_or_else(host_name),
        limits: Limits::capped(relay.stage_timeout_max),
    }
}

/// What this machine calls itself; empty where it does not.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// This machine's name where it is a full one, else an address literal (RFC 5321, 4.1.3): relays refuse bare names.
fn host_name() -> String {
    let name = machine_name();
    if name.contains('.') {
        name
    } else {
        "[127.0.0.1]".to_owned()
    }
}

/// An error with its causes, once each.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

fn delivery_settings(config: &Config) -> delivery::Settings {
    let (connections, messages_per_minute) = match &config.mail.transport {
        config::Transport::Smtp(relays) => (relays.connections as usize, relays.messages_per_minute),
        config::Transport::Sendmail { .. } | config::Transport::Maildir { .. } => (1, 0),
    };
    delivery::Settings {
        policy: delivery::Policy {
            retry_delay: delta(config.mail.retry_delay),
            hold_unconfirmed: matches!(config.mail.unconfirmed, config::Unconfirmed::Hold),
            keep_versions: lists_replacements(config),
        },
        connections,
        messages_per_minute,
    }
}

fn sender(config: &Config) -> Sender {
    let mail = &config.mail;
    let domain = domain_of(&mail.from.address);
    let mailbox = |mailbox: &config::Mailbox| Mailbox::new(mailbox.name.as_deref(), mailbox.address.clone());
    Sender {
        from: mailbox(&mail.from),
        reply_to: mail.reply_to.as_ref().map(mailbox),
        list_id: format!("papers.{domain}"),
        list_label: sender_name(config),
        feedback_sender: feedback_sender(domain),
        public_url: config.web.public_url.clone(),
        help_url: page_url(config).filter(|url| url.starts_with("https://")),
        unsubscribe_address: mail.unsubscribe_address.clone(),
        owner: Some(mail.reply_to.as_ref().unwrap_or(&mail.from).address.clone()),
    }
}

/// The address of the Daily Papers page, where it is served.
fn page_url(config: &Config) -> Option<String> {
    config.web.public_url.clone().filter(|_| config.web.page)
}

/// 5 to 15 letters and digits that stay the same for one sender, as Gmail's `Feedback-ID` wants them.
fn feedback_sender(domain: &str) -> String {
    let letters: String = domain.chars().filter(char::is_ascii_alphanumeric).take(15).collect();
    format!("{letters:x<5}")
}

/// What signs the mails, where it is configured.
///
/// # Errors
/// A key that cannot sign, with its file.
pub fn signer(config: &Config) -> Result<Option<Signer>, AppError> {
    use secrecy::ExposeSecret;
    let Some(dkim) = &config.mail.dkim else { return Ok(None) };
    let keys = dkim
        .keys
        .iter()
        .map(|key| {
            SigningKey::parse(key.key.expose_secret())
                .map(|parsed| (key.selector.clone(), parsed))
                .map_err(|error| AppError::Setting(format!("mail.dkim.key_file: {}: {error}", key.key_file.display())))
        })
        .collect::<Result<Vec<_>, AppError>>()?;
    Signer::new(&dkim.domain, keys)
        .map(Some)
        .map_err(|error| AppError::Setting(format!("mail.dkim: {error}")))
}

fn person(resolved: config::Resolved) -> Person {
    Person {
        id: resolved.id,
        address: resolved.address,
        name: resolved.name,
        schedule: resolved.schedule,
        paused_until: resolved.paused_until,
        shared: resolved.shared,
        keywords: resolved.keywords,
    }
}

fn domain_of(address: &str) -> &str {
    address
        .rsplit_once('@')
        .map_or("localhost.invalid", |(_, domain)| domain)
}

fn delta(duration: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
