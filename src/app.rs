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
    store::{
        Store, StoreError,
        memory::MemoryStore,
        sled::{FormerLife, SledStore},
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
            Self::Store(StoreError::InUse(_) | StoreError::Conflict(_)) | Self::Stopped => Exit::Incomplete,
            Self::Store(StoreError::Damaged { .. } | StoreError::TooNew { .. }) => Exit::Damaged,
            Self::Store(StoreError::Io { .. }) => Exit::CannotWrite,
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
        Self::build(loaded, store, clock)
    }

    /// Builds everything around a store that is open already.
    pub fn build(loaded: config::Loaded, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Self, AppError> {
        Self::assemble(loaded, store, clock, Arc::default())
    }

    /// Builds everything anew around what outlives a configuration: the store, the calendar, the counters, the lock and
    /// the signal to stop.
    pub fn rebuild(&self, loaded: config::Loaded) -> Result<Self, AppError> {
        let mut app = Self::assemble(
            loaded,
            Arc::clone(&self.store),
            Arc::clone(&self.clock),
            Arc::clone(&self.metrics),
        )?;
        app.run_lock = Arc::clone(&self.run_lock);
        // The next run compiles the keywords anew only if they changed.
        app.run.lexicon = Arc::clone(&self.run.lexicon);
        app.stop = self.stop.clone();
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
    ) -> Result<Self, AppError> {
        let config::Loaded { config, warnings } = loaded;
        let keys = Arc::new(load_keys(&config.mail.token_key_file)?);
        let renderer = Arc::new(renderer(&config)?);
        for problem in renderer.problems() {
            tracing::warn!(template = %problem.file.display(), why = %problem, "a template is refused; the built-in one is used");
        }
        let fetcher = Arc::new(fetcher(&config, Arc::clone(&store), Arc::clone(&metrics))?);
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
        };
        let delivery = delivery::Context {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            composer,
            transport: Arc::new(transport(&config)?),
            worker: WorkerId(format!("{}.{}", process::id(), SystemClock.now().timestamp_millis())),
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
    let config::StoreConfig::Sled = config.store else {
        return Err(AppError::Setting(
            "store.backend: this build has no PostgreSQL store; use \"sled\"".to_owned(),
        ));
    };
    let opened = SledStore::open(&config.state_dir.join("store"), clock.now()).await?;
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
    Ok(Arc::new(opened.store))
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

fn fetcher(config: &Config, store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Result<Fetcher, AppError> {
    let arxiv = &config.arxiv;
    let gate = Arc::new(Gate::new(store, arxiv.request_interval));
    let settings = ClientSettings {
        contact: arxiv
            .contact
            .clone()
            .unwrap_or_else(|| "no contact configured".to_owned()),
        response_bytes_max: arxiv.response_bytes_max,
        retry_delay: arxiv.retry_delay,
    };
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
        config::Transport::Smtp(relay) => {
            Way::Smtp(Relay::new(relay_settings(relay)).map_err(|error| AppError::Setting(chain(&error)))?)
        }
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

fn relay_settings(relay: &config::Relay) -> RelaySettings {
    RelaySettings {
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

/// This machine's name where it is a full one, else an address literal (RFC 5321, 4.1.3): relays refuse bare names.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.contains('.') {
        name.to_owned()
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
        config::Transport::Smtp(relay) => (relay.connections as usize, relay.messages_per_minute),
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
