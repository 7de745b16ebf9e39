//! The composition root: the one module that knows every concrete type.
//!
//! It turns a configuration into the contexts that runs and deliveries work with; everything else receives
//! what it needs. The daemon, the command line, the demo and the tests all build the same [`App`].

mod parts;
mod state;

use std::{collections::HashMap, path::Path, process, sync::Arc};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

pub use self::{parts::signer, state::exports_dir};
use self::{
    parts::{delivery_settings, fetcher, machine_name, person, renderer, run_settings, sender, transport},
    state::{agree_on_keys, load_keys, open_store},
};
use crate::{
    clock::{Clock, ManualClock, SystemClock},
    config::{self, Config, Environment, Problem, Problems},
    delivery,
    fetch::gate::Gate,
    mail::compose::{Composer, KnownMarks},
    matching,
    metrics::Metrics,
    model::{Term, WorkerId},
    roster::{Person, Roster},
    run,
    standing::Standing,
    store::{Store, StoreError},
    token::{Bearer, Keys, OpaqueId},
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
