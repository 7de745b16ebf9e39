//! The control socket: sled allows one process, so while a daemon runs the other commands are carried out by it.
//!
//! One command per connection: a line of JSON in, a document of JSON out. The socket lies in the runtime or the
//! state directory and is open to its owner only.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};

use super::Shared;
use crate::{
    admin::{self, Command, Reply},
    app::AppError,
    config::Environment,
};

const NAME: &str = "control.sock";
/// A longer command is none of ours: the longest carries a mail in Base64.
const COMMAND_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// A longer reply is cut off by the reader.
const REPLY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long a client may take to say what it wants.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the socket of the daemon lies that keeps its state in `state_dir`.
pub fn path(state_dir: &Path, environment: &Environment) -> PathBuf {
    path_of_service(environment).unwrap_or_else(|| state_dir.join(NAME))
}

/// Where the socket of the service lies that this process belongs to, whatever its configuration says.
pub fn path_of_service(environment: &Environment) -> Option<PathBuf> {
    Some(environment.runtime_directory.as_ref()?.join(NAME))
}

/// Asks a running daemon to carry out a command; `None` if none runs.
///
/// # Errors
///
/// The daemon ended before it answered, or its answer cannot be read.
pub async fn ask(path: &Path, command: &Command) -> Result<Option<Reply>, AppError> {
    let Ok(stream) = UnixStream::connect(path).await else {
        return Ok(None);
    };
    exchange(stream, command).await.map(Some).map_err(|error| {
        let daemon = format!("the daemon at {}", path.display());
        match error.kind() {
            // Nothing, or half an answer.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                AppError::BrokenOff(daemon)
            }
            _ => AppError::Other(anyhow::anyhow!("{daemon} cannot be understood: {error}")),
        }
    })
}

async fn exchange(mut stream: UnixStream, command: &Command) -> io::Result<Reply> {
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut reply = Vec::new();
    stream.take(REPLY_BYTES_MAX).read_to_end(&mut reply).await?;
    Ok(serde_json::from_slice(&reply)?)
}

/// Opens the socket. One that a dead daemon left behind is replaced; one that answers belongs to another worker on the
/// same database, and stays its own.
pub(super) async fn listen(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    if UnixStream::connect(path).await.is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another worker listens there; give each its own state_dir on one machine",
        ));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers commands until the daemon stops.
pub(super) async fn answer(listener: UnixListener, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    if let Err(error) = answer_one(stream, &shared).await {
                        tracing::debug!(%error, "a command on the control socket broke off");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket does not accept");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn answer_one(stream: UnixStream, shared: &Shared) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(COMMAND_BYTES_MAX));
    tokio::time::timeout(COMMAND_TIMEOUT, read.read_line(&mut line)).await??;
    let reply = match serde_json::from_str::<Command>(&line) {
        Ok(command) => {
            tracing::info!(command = command.name(), "command on the control socket");
            admin::execute(&shared.app(), &command).await
        }
        Err(error) => admin::failed(&AppError::Usage(format!(
            "the running daemon does not know this command ({error}); is it of another version?"
        ))),
    };
    shared.bell.ring();
    let mut bytes = serde_json::to_vec(&reply)?;
    if bytes.len() as u64 > REPLY_BYTES_MAX {
        bytes = serde_json::to_vec(&admin::failed(&AppError::Usage(
            "the reply is too long for the control socket; stop the daemon and run the command again".to_owned(),
        )))?;
    }
    write.write_all(&bytes).await?;
    write.shutdown().await
}
