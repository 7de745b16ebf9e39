//! Mail through the machine's own `sendmail` command, as Postfix, Exim, msmtp and others bring it.
//!
//! The program is run directly, without a shell: nothing of an address is ever interpreted. Its exit status (sysexits) is
//! the reply.

use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::model::{Outcome, Stage};

/// Octets of the program's error output that are kept for the operator.
const STDERR_MAX: u64 = 2_000;
/// How long to wait for an end that cannot be long in coming: of a killed process, or of its error output.
const AFTERMATH: Duration = Duration::from_secs(5);

/// How to hand over mail on this machine.
#[derive(Debug, Clone)]
pub struct Sendmail {
    /// The program, `/usr/sbin/sendmail` as a rule.
    pub program: PathBuf,
    /// How long one message may take in all; then the program is killed.
    pub limit: Duration,
}

impl Default for Sendmail {
    fn default() -> Self {
        Self {
            program: PathBuf::from("/usr/sbin/sendmail"),
            limit: Duration::from_secs(120),
        }
    }
}

impl Sendmail {
    /// Hands over one message for one recipient.
    ///
    /// A program that ends by itself has answered. One that is killed, or dies, after it could read the whole message may
    /// have queued it: that is unconfirmed. An empty `from` is the null sender.
    pub async fn deliver(&self, from: &str, recipient: &str, message: &[u8]) -> Outcome {
        let spawned = Command::new(&self.program)
            .args(["-i", "-f", if from.is_empty() { "<>" } else { from }, "--", recipient])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => return not_started(&self.program, &error),
        };
        let message = local_lines(message);
        let mut progress = Progress::default();
        let ended = tokio::time::timeout(self.limit, converse(&mut child, &message, &mut progress)).await;
        match ended {
            Ok(Ok(status)) => outcome(status, &progress),
            Ok(Err(error)) => {
                end(&mut child).await;
                progress.unanswered(format!("{} failed: {error}", self.program.display()))
            }
            Err(_) => {
                end(&mut child).await;
                let seconds = self.limit.as_secs_f32();
                progress.unanswered(format!("{} was stopped after {seconds} s", self.program.display()))
            }
        }
    }
}

/// How far the dialogue with the program has come.
#[derive(Debug, Default)]
struct Progress {
    /// Whether the program may have all of the message: set before the end of the input is shown to it.
    complete: bool,
    stderr: Vec<u8>,
}

impl Progress {
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let words: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| !word.is_empty())
            .collect();
        words.join(" ")
    }

    /// The program ended, or was ended, without an answer.
    fn unanswered(&self, what: String) -> Outcome {
        let said = self.text();
        let reply = if said.is_empty() {
            what
        } else {
            format!("{what}: {said}")
        };
        if self.complete {
            Outcome::Unconfirmed { reply }
        } else {
            let stage = Stage::Body;
            Outcome::TransientRelay { stage, reply }
        }
    }
}

/// Writes the message while the error output is read, so that neither side waits for the other, then waits for the end.
///
/// The input stays with the child when this is cut short: closed early, it would look like the end of the message.
async fn converse(child: &mut Child, message: &[u8], progress: &mut Progress) -> io::Result<ExitStatus> {
    let stderr = child.stderr.take();
    let Progress { complete, stderr: said } = progress;
    let finish = async {
        if let Some(pipe) = child.stdin.as_mut() {
            match pipe.write_all(message).await {
                Ok(()) => *complete = true,
                // A program that ends early breaks the pipe; its exit status says more than this error.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) => return Err(error),
            }
        }
        // This closes the input first.
        child.wait().await
    };
    let read = async {
        if let Some(pipe) = stderr {
            drain(pipe, said).await;
        }
    };
    tokio::pin!(finish, read);
    let mut is_open = true;
    let status = loop {
        tokio::select! {
            status = &mut finish => break status?,
            () = &mut read, if is_open => is_open = false,
        }
    };
    if is_open {
        // A child of the program may keep the output open after its end: it is not waited for much longer.
        drop(tokio::time::timeout(AFTERMATH, read).await);
    }
    Ok(status)
}

/// Keeps the beginning of the output and reads the rest away, so that the program never blocks on it.
async fn drain(mut pipe: impl AsyncRead + Unpin, kept: &mut Vec<u8>) {
    let read = (&mut pipe).take(STDERR_MAX).read_to_end(kept).await;
    if read.is_ok() {
        // What goes wrong while reading away is without meaning: nothing of it is kept.
        drop(tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await);
    }
}

async fn end(child: &mut Child) {
    // It may have ended by itself meanwhile; and a process that even SIGKILL does not end is left to the system.
    drop(child.start_kill());
    drop(tokio::time::timeout(AFTERMATH, child.wait()).await);
}

/// The command reads local line ends; it writes CRLF itself when it speaks to a relay. The message has no bare CR.
fn local_lines(message: &[u8]) -> Vec<u8> {
    message.iter().copied().filter(|byte| *byte != b'\r').collect()
}

fn not_started(program: &Path, error: &io::Error) -> Outcome {
    let reply = format!("cannot start {}: {error}", program.display());
    let stage = Stage::Connect;
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::InvalidInput | ErrorKind::NotADirectory => {
            Outcome::Configuration {
                stage,
                reply: format!("{reply}; install a sendmail command, or choose another `transport`"),
            }
        }
        _ => Outcome::TransientRelay { stage, reply },
    }
}

/// What an exit status means (sysexits.h).
fn outcome(status: ExitStatus, progress: &Progress) -> Outcome {
    let said = progress.text();
    let Some(code) = status.code() else {
        let signal = status.signal().unwrap_or_default();
        return progress.unanswered(format!("the sendmail command was ended by signal {signal}"));
    };
    let stage = Stage::FinalReply;
    let reply = if said.is_empty() {
        format!("exit status {code}")
    } else {
        format!("exit status {code}: {said}")
    };
    match code {
        0 if progress.complete => Outcome::Accepted { reply },
        0 => Outcome::TransientRelay {
            stage: Stage::Body,
            reply: "the sendmail command ended before it had read the message".into(),
        },
        // EX_DATAERR
        65 => Outcome::PermanentMessage { stage, reply },
        // EX_NOUSER
        67 => Outcome::PermanentRecipient {
            stage,
            reply,
            no_such_mailbox: true,
        },
        // EX_USAGE, for an address the program cannot read, and EX_NOHOST: a broken resolver gives it too, so it is no
        // evidence against the mailbox.
        64 | 68 => Outcome::PermanentRecipient {
            stage,
            reply,
            no_such_mailbox: false,
        },
        // EX_NOPERM, EX_CONFIG
        77 | 78 => Outcome::Configuration { stage, reply },
        // EX_TEMPFAIL and everything else that says nothing about the recipient.
        _ => Outcome::TransientRelay { stage, reply },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use super::*;

    /// A command that behaves as the script says, in a folder of its own.
    fn command(script: &str) -> (tempfile::TempDir, Sendmail) {
        let scratch = tempfile::tempdir().unwrap();
        let program = scratch.path().join("sendmail");
        let text = format!("#!/bin/sh\ncd {}\n{script}\n", scratch.path().display());
        // Written by a process of its own: a file that any thread of the tests holds open for writing cannot be run.
        let written = std::process::Command::new("sh")
            .args(["-c", "printf '%s' \"$1\" > \"$0\" && chmod 700 \"$0\""])
            .arg(&program)
            .arg(&text)
            .status();
        assert!(written.unwrap().success());
        let limit = Duration::from_secs(20);
        (scratch, Sendmail { program, limit })
    }

    async fn run(script: &str) -> Outcome {
        let (_scratch, sendmail) = command(script);
        sendmail
            .deliver(
                "bounces@example.org",
                "ana@example.net",
                b"Subject: x\r\n\r\n.\r\nend\r\n",
            )
            .await
    }

    #[tokio::test]
    async fn the_message_and_both_addresses_arrive_as_they_are() {
        let (scratch, sendmail) = command("cat > message; printf '%s\\n' \"$@\" > arguments");
        let recipient = "a$(id)`;&|x@example.net";
        let outcome = sendmail
            .deliver("bounces+abc@example.org", recipient, b"Subject: x\r\n\r\n.\r\n.5\r\n")
            .await;
        assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
        assert_eq!(
            fs::read(scratch.path().join("message")).unwrap(),
            b"Subject: x\n\n.\n.5\n"
        );
        let arguments = fs::read_to_string(scratch.path().join("arguments")).unwrap();
        assert_eq!(arguments, format!("-i\n-f\nbounces+abc@example.org\n--\n{recipient}\n"));
    }

    #[tokio::test]
    async fn exit_statuses_are_replies() {
        let check = async |code: u8, expected: fn(&Outcome) -> bool| {
            let outcome = run(&format!("cat > /dev/null; echo 'because  of\n this' >&2; exit {code}")).await;
            assert!(expected(&outcome), "{code}: {outcome:?}");
            assert!(format!("{outcome:?}").contains("because of this"), "{outcome:?}");
        };
        check(0, |o| matches!(o, Outcome::Accepted { .. })).await;
        check(64, |o| {
            matches!(
                o,
                Outcome::PermanentRecipient {
                    no_such_mailbox: false,
                    ..
                }
            )
        })
        .await;
        check(65, |o| matches!(o, Outcome::PermanentMessage { .. })).await;
        check(67, |o| {
            matches!(
                o,
                Outcome::PermanentRecipient {
                    no_such_mailbox: true,
                    ..
                }
            )
        })
        .await;
        check(68, |o| {
            matches!(
                o,
                Outcome::PermanentRecipient {
                    no_such_mailbox: false,
                    ..
                }
            )
        })
        .await;
        check(75, |o| matches!(o, Outcome::TransientRelay { .. })).await;
        check(1, |o| matches!(o, Outcome::TransientRelay { .. })).await;
        check(77, |o| matches!(o, Outcome::Configuration { .. })).await;
        check(78, |o| matches!(o, Outcome::Configuration { .. })).await;
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_stopped_and_what_it_had_read_decides() {
        let large = vec![b'x'; 1 << 20];
        for (script, message, unconfirmed) in [
            ("exec sleep 60", &large[..], false),
            ("cat > /dev/null; exec sleep 60", b"x\r\n", true),
        ] {
            let (_scratch, mut sendmail) = command(script);
            sendmail.limit = Duration::from_millis(500);
            let begun = Instant::now();
            let outcome = sendmail.deliver("a@example.org", "b@example.net", message).await;
            assert_eq!(
                matches!(outcome, Outcome::Unconfirmed { .. }),
                unconfirmed,
                "{outcome:?}"
            );
            assert_eq!(
                matches!(outcome, Outcome::TransientRelay { stage: Stage::Body, .. }),
                !unconfirmed
            );
            assert!(begun.elapsed() < Duration::from_secs(5));
        }
    }

    #[tokio::test]
    async fn a_command_that_dies_is_no_acceptance() {
        let outcome = run("cat > /dev/null; kill -9 $$").await;
        assert!(
            matches!(&outcome, Outcome::Unconfirmed { reply } if reply.contains("signal 9")),
            "{outcome:?}"
        );
        let (_scratch, sendmail) = command("exec < /dev/null; exit 0");
        let outcome = sendmail
            .deliver("a@example.org", "b@example.net", &vec![b'x'; 1 << 20])
            .await;
        assert!(
            matches!(outcome, Outcome::TransientRelay { stage: Stage::Body, .. }),
            "{outcome:?}"
        );
    }

    #[tokio::test]
    async fn a_talkative_command_neither_blocks_nor_fills_the_memory() {
        let outcome = run("head -c 1000000 /dev/zero | tr '\\0' 'e' >&2; cat > /dev/null; exit 75").await;
        let Outcome::TransientRelay { reply, .. } = outcome else {
            panic!("{outcome:?}")
        };
        assert!(reply.len() < 2_100, "{}", reply.len());
    }

    #[tokio::test]
    async fn a_missing_command_is_a_matter_of_configuration() {
        let sendmail = Sendmail {
            program: "/nonexistent/sendmail".into(),
            ..Sendmail::default()
        };
        let outcome = sendmail.deliver("a@example.org", "b@example.net", b"x").await;
        assert!(matches!(outcome, Outcome::Configuration { .. }), "{outcome:?}");
        let outcome = Sendmail::default()
            .deliver("a@example.org", "b\0@example.net", b"x")
            .await;
        assert!(matches!(outcome, Outcome::Configuration { .. }), "{outcome:?}");
    }
}
