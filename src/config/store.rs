//! `[store]`: where the state is kept.

use std::{fmt, ops::RangeInclusive, path::PathBuf, time::Duration};

use super::{
    environment::{Base, Environment},
    mail::Context,
    secret::{is_open_to_others, read_secret},
    section::{Entry, Section},
};
use crate::store::postgres::{Address, Settings};

/// The name of the systemd credential that holds the database's password.
pub const DATABASE_CREDENTIAL: &str = "database-password";

/// How long what a worker has taken stays its own after its last sign of life.
const LEASE_DEFAULT: Duration = Duration::from_secs(120);
const LEASE_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(2700);
const CONNECTIONS_DEFAULT: u32 = 8;
const EXAMPLE: &str = "write \"postgres://paperround@db.example.org/paperround\"";

/// The settings of `[store]`.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreConfig {
    /// A sled database in the state directory: one machine.
    Sled,
    /// A PostgreSQL database: any number of machines.
    Postgres(Box<Settings>),
}

#[derive(Clone, Copy, PartialEq)]
enum Backend {
    Sled,
    Postgres,
}

impl StoreConfig {
    pub(super) fn read(section: Section<'_>, context: &Context<'_>) -> Self {
        let backend = section.choice(
            "backend",
            Backend::Sled,
            &[("sled", Backend::Sled), ("postgres", Backend::Postgres)],
        );
        let address = read_address(&section, context, backend);
        let ca_file = read_ca_file(&section, context.base);
        let settings = Settings {
            connections: section.number("connections", CONNECTIONS_DEFAULT, 1..=100) as usize,
            lease: section.duration("lease", LEASE_DEFAULT, LEASE_RANGE),
            ca_file,
            // Refused above where there is none.
            address: match address {
                Some(address) => address,
                None => {
                    finish(section);
                    return Self::Sled;
                }
            },
        };
        finish(section);
        match backend {
            Backend::Sled => Self::Sled,
            Backend::Postgres => Self::Postgres(Box::new(settings)),
        }
    }
}

fn finish(section: Section<'_>) {
    section.finish(|key| match key {
        "path" => Some("sled keeps its files in state_dir".to_owned()),
        "password" => Some("use password_file, or write the password into the url".to_owned()),
        _ => None,
    });
}

fn read_address(section: &Section<'_>, context: &Context<'_>, backend: Backend) -> Option<Address> {
    let sink = section.sink();
    let file = section.get("password_file");
    let password_file = section.string("password_file").map(|path| context.base.read(&path));
    section.note(
        "password_file",
        password_file.as_ref().map(|path| path.display().to_string()),
    );
    let Some(entry) = section.get("url") else {
        if backend == Backend::Postgres {
            sink.refuse(
                &section.place_of("url"),
                "is missing for backend = \"postgres\"",
                EXAMPLE,
            );
        }
        return None;
    };
    let mut address = match Address::parse(&entry.string()?) {
        Ok(address) => address,
        Err((what, mend)) => {
            entry.refuse(what, mend);
            return None;
        }
    };
    if backend == Backend::Sled {
        sink.warn(
            &entry.place,
            "is not used",
            "sled keeps its files in state_dir: set backend = \"postgres\"",
        );
    }
    if address.has_password() && is_open_to_others(context.config_file) {
        sink.warn(
            &entry.place,
            "holds a password in a file that others may read",
            format!("use password_file, or chmod 600 {}", context.config_file.display()),
        );
    }
    if address.is_exposed() {
        sink.warn(
            &entry.place,
            "goes over the network unprotected with sslmode=disable",
            "write sslmode=verify-full unless nobody else is on that network",
        );
    }
    if backend == Backend::Postgres {
        read_password(&mut address, &entry, file.as_ref(), password_file, context.environment);
    }
    Some(address)
}

/// The password from its file or credential, unless the address holds one. Without any the server may still let us
/// in: by the name of the user on a socket, or by the address of this machine.
fn read_password(
    address: &mut Address,
    url: &Entry<'_>,
    file: Option<&Entry<'_>>,
    password_file: Option<PathBuf>,
    environment: &Environment,
) {
    let credential = environment
        .credentials_directory
        .as_ref()
        .map(|dir| dir.join(DATABASE_CREDENTIAL))
        .filter(|path| path.exists());
    if address.has_password() {
        if let Some(file) = file {
            file.refuse("is given beside a password in url", "keep one of the two");
        }
        return;
    }
    let Some(path) = password_file.or(credential) else {
        return;
    };
    match read_secret(&path) {
        Ok(password) => address.set_password(&password),
        Err(what) => file.unwrap_or(url).refuse(
            what,
            "the file must hold the password alone and be readable for the daemon",
        ),
    }
}

fn read_ca_file(section: &Section<'_>, base: &Base) -> Option<PathBuf> {
    let path = section.string("ca_file").map(|path| base.read(&path))?;
    section.note("ca_file", Some(path.display().to_string()));
    if !path.is_file()
        && let Some(entry) = section.get("ca_file")
    {
        entry.refuse(
            format!("{} is not a file", path.display()),
            "name the certificate of the database's authority in PEM form",
        );
    }
    Some(path)
}

impl fmt::Display for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sled => f.write_str("sled"),
            Self::Postgres(settings) => settings.address.fmt(f),
        }
    }
}
