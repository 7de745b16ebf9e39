//! Connections: how they are made, bounded and kept, and what their failures mean.

use std::{io, path::Path, sync::Arc, time::Duration};

use deadpool_postgres::{Hook, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_postgres::{NoTls, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    Settings,
    address::{Address, Tls},
};
use crate::store::{StoreError, schema::Unreadable};

/// How long a connection may take to stand, with TLS and login.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a free connection of the pool is waited for.
const POOL_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long data may stay unacknowledged before a connection counts as dead.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(20);
/// An idle connection is tried after this long.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Limits that the server keeps: for a statement, for the wait for a row that somebody else is writing, and for a
/// transaction whose client says nothing any more. In milliseconds.
const SESSION: &str = "-c statement_timeout=30000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=30000";
/// The server looks after a client that it works for, so that the locks of a dead one do not stay.
const WATCH_CLIENT: &str = "set client_connection_check_interval = '5s'";

/// Why a verb could not be carried out.
#[derive(Debug)]
pub(super) enum Fault {
    /// A value has another revision: the thing's name.
    Conflict(String),
    /// What is stored cannot be read.
    Unreadable(Unreadable),
    /// The database or the way to it.
    Database(tokio_postgres::Error),
    /// No connection could be had: why, and whether it may be had later.
    Unconnected(String, bool),
    /// No answer within the time for a verb.
    Slow,
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Unreadable> for Fault {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Unconnected(in_words(&error), is_passing(&error)),
            PoolError::Timeout(_) => Self::Unconnected("no connection within the time for it".to_owned(), true),
            other => Self::Unconnected(other.to_string(), false),
        }
    }
}

impl Fault {
    /// Whether the same verb may succeed a little later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Conflict(_) | Self::Unreadable(_) => false,
            Self::Database(error) => is_passing(error),
            Self::Unconnected(_, is_passing) => *is_passing,
            Self::Slow => true,
        }
    }

    /// The fault in the words of the store's callers.
    pub(super) fn into_error(self, address: &Address, doing: &'static str) -> StoreError {
        let place = address.to_string();
        match self {
            Self::Conflict(what) => StoreError::Conflict(what),
            Self::Unreadable(Unreadable(what)) => StoreError::Damaged {
                place,
                what: format!("{what}; restore the database from its newest backup"),
            },
            Self::Database(error) if is_passing(&error) => StoreError::Unreachable {
                place,
                why: in_words(&error),
            },
            Self::Database(error) => StoreError::Io {
                place,
                doing,
                why: in_words(&error),
            },
            Self::Unconnected(why, true) => StoreError::Unreachable { place, why },
            Self::Unconnected(why, false) => StoreError::Io {
                place,
                doing: "opened",
                why,
            },
            Self::Slow => StoreError::Unreachable {
                place,
                why: "it does not answer".to_owned(),
            },
        }
    }

    /// The fault in one line for the log.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Conflict(what) => what.clone(),
            Self::Unreadable(unreadable) => unreadable.to_string(),
            Self::Database(error) => in_words(error),
            Self::Unconnected(why, _) => why.clone(),
            Self::Slow => "it does not answer".to_owned(),
        }
    }
}

/// Whether a failure may pass by itself: the network, a restart, a switch to another server, or others at work on the
/// same rows. The codes are those of PostgreSQL's appendix A.
fn is_passing(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else {
        // Not from the server. A certificate that is not trusted stays so; all else is the network.
        return !is_tls(error) && (error.is_closed() || has_io_cause(error));
    };
    [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        // A primary that has become a standby: the next connection finds the new one.
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ]
    .contains(code)
        || code.code().starts_with("08")
}

fn is_tls(error: &tokio_postgres::Error) -> bool {
    causes(error).any(|cause| {
        // rustls comes inside of an error of input and output.
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause.is::<rustls::Error>() || inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
    })
}

fn has_io_cause(error: &tokio_postgres::Error) -> bool {
    causes(error).any(<dyn std::error::Error>::is::<io::Error>)
        // The library's own limit on connecting has no cause.
        || error.to_string().contains("timed out")
}

fn causes<'e>(error: &'e tokio_postgres::Error) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
}

/// The error with its causes in one line. The server's own message and code, not its detail: that may hold values.
pub(super) fn in_words(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} ({})", said.message(), said.code().code());
    }
    let mut words = error.to_string();
    for cause in causes(error) {
        let cause = cause.to_string();
        if !words.contains(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}

/// A pool of at most `settings.connections` connections. None is made yet.
pub(super) fn pool(settings: &Settings) -> Result<Pool, StoreError> {
    let unusable = |why: String| StoreError::Io {
        place: settings.address.to_string(),
        doing: "opened",
        why,
    };
    let mut config = settings.address.config().clone();
    let options = config.get_options().unwrap_or_default().to_owned();
    config
        .options(format!("{options} {SESSION}").trim())
        .connect_timeout(CONNECT_MAX)
        .tcp_user_timeout(UNACKNOWLEDGED_MAX)
        .keepalives(true)
        .keepalives_idle(KEEPALIVE);
    if config.get_application_name().is_none() {
        config.application_name("paperround");
    }
    // A connection is looked at before each use; a dead one is noticed at the first statement, which is repeated.
    let manager_config = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = match settings.address.tls() {
        Tls::None => Manager::from_config(config, NoTls, manager_config),
        Tls::Verified => {
            let ca_file = settings.ca_file.as_ref().or(settings.address.ca_file());
            let tls = tls(ca_file.map(std::path::PathBuf::as_path)).map_err(unusable)?;
            Manager::from_config(config, MakeRustlsConnect::new(tls), manager_config)
        }
    };
    Pool::builder(manager)
        .max_size(settings.connections)
        .wait_timeout(Some(POOL_WAIT_MAX))
        .create_timeout(Some(CONNECT_MAX))
        .recycle_timeout(Some(CONNECT_MAX))
        .runtime(Runtime::Tokio1)
        .post_create(Hook::async_fn(|client: &mut deadpool_postgres::ClientWrapper, _| {
            Box::pin(async move {
                // Not every server and system has it; without it a lock of a dead client stays until it is noticed.
                if let Err(error) = client.batch_execute(WATCH_CLIENT).await {
                    tracing::debug!(%error, "the database does not watch its clients");
                }
                Ok(())
            })
        }))
        .build()
        .map_err(|error| unusable(error.to_string()))
}

/// TLS that trusts the authorities in `ca_file`, or those of the operating system.
fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let Some(path) = ca_file else {
        let builder = builder.with_platform_verifier().map_err(|error| {
            format!("this machine's trusted certificates cannot be used: install ca-certificates or set `store.ca_file` ({error})")
        })?;
        return Ok(builder.with_no_client_auth());
    };
    let shown = path.display();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| format!("{shown}: {error}"))? {
        let certificate = certificate.map_err(|error| format!("{shown}: {error}"))?;
        roots.add(certificate).map_err(|error| format!("{shown}: {error}"))?;
    }
    if roots.is_empty() {
        return Err(format!("{shown} holds no certificate in PEM form"));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
