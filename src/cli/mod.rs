//! The command line: parse, call, print, exit status.

mod carry;
mod manual;
mod operate;
mod progress;

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use chrono::{DateTime, Utc};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use self::carry::{absolute, check, on_store};
use crate::{
    admin::{self, Command, PreviewFormat, Reply},
    app::{AppError, Exit, Options},
    export::Format,
    telemetry::{self, LogFormat},
};

/// How long what still runs beside a command that has ended may delay the end of the process.
const LEFT_BEHIND_MAX: Duration = Duration::from_secs(5);

/// Reads arXiv every day and mails each subscriber one digest of the new papers on their keywords.
#[derive(Debug, Parser)]
#[command(name = "paperround", version, long_version = long_version())]
struct Cli {
    /// The configuration file [default: config.toml here, else /etc/paperround/config.toml].
    #[arg(long, global = true, env = "PAPERROUND_CONFIG", value_name = "PATH")]
    config: Option<PathBuf>,
    /// Say more; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Say only what is wrong.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// How events are written to standard error.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormatArg,
    #[command(subcommand)]
    command: Sub,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum LogFormatArg {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum FormatArg {
    /// The HTML part.
    #[default]
    Html,
    /// The text part.
    Text,
    /// The whole message.
    Eml,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ExportArg {
    /// The Daily Papers page: a table per keyword.
    Markdown,
    /// Everything that is known of each paper.
    Json,
    /// A feed.
    Atom,
    /// References for LaTeX.
    Bibtex,
    /// References for reference managers.
    Ris,
}

impl From<ExportArg> for Format {
    fn from(format: ExportArg) -> Self {
        match format {
            ExportArg::Markdown => Self::Markdown,
            ExportArg::Json => Self::Json,
            ExportArg::Atom => Self::Atom,
            ExportArg::Bibtex => Self::Bibtex,
            ExportArg::Ris => Self::Ris,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Sub {
    /// Run as a daemon: fetch and send on schedule until told to stop.
    Serve,
    /// One run now for everyone who is not paused, then exit; it completes no scheduled slot.
    Run {
        /// Only those whose slot has come, for use from cron.
        #[arg(long, conflicts_with = "dry_run")]
        due: bool,
        /// Render every digest into the folder of --out, send nothing, leave the state as it was.
        #[arg(long, requires = "out")]
        dry_run: bool,
        /// Where a dry run writes .eml, .html and .txt files.
        #[arg(long, value_name = "DIR", requires = "dry_run")]
        out: Option<PathBuf>,
        /// Set the calendar to this moment (tests, replays); refused on a state that `serve` has used.
        #[arg(long, value_name = "RFC3339")]
        now: Option<DateTime<Utc>>,
        /// End the pause after arXiv has denied access.
        #[arg(long)]
        resume: bool,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// The digest that a subscriber would get now, from the store.
    Preview {
        /// Whose; may be left out if there is only one.
        subscriber: Option<String>,
        /// Which part of it.
        #[arg(long, value_enum, default_value_t)]
        format: FormatArg,
        /// Write it there instead of standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Show what the last N days would have brought, whether sent or not.
        #[arg(long, value_name = "N")]
        days: Option<u32>,
        /// Show the mail that welcomes a newcomer with these keywords, whether `digest.welcome` is set or not.
        #[arg(long)]
        welcome: bool,
    },
    /// Check the configuration: every problem at once, and the next times of each schedule.
    Check {
        /// Also ask arXiv, log in to the relay and open the state, all as the file says; sends nothing.
        #[arg(long)]
        online: bool,
    },
    /// Send one real message through the configured relay and say what came of it.
    TestMail {
        /// To whom.
        address: String,
    },
    /// How things stand: the last runs, each search's last complete fetch, the outbox, the next slots.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// What happened to a paper, and why.
    Why {
        /// Its identifier, with or without version, or its address.
        identifier: String,
        /// For whom; everyone, if left out.
        subscriber: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// What a keyword or query would have found lately: hits per day, the words that bring them, titles.
    Try {
        /// A keyword, or the name of a [[keyword]] of the configuration.
        query: String,
        /// Read it by the query grammar: AND OR NOT, parentheses, fields.
        #[arg(long = "query", short = 'Q')]
        is_query: bool,
        /// How many days back.
        #[arg(long, value_name = "N", default_value_t = 14)]
        days: u32,
        /// Look only at what is stored; without it arXiv is asked, once.
        #[arg(long)]
        stored: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// The newest papers of every keyword: the Daily Papers page, a feed, references.
    Export {
        /// As what.
        #[arg(value_enum)]
        format: ExportArg,
        /// Write it there instead of standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// The digests on their way, and what to do with them.
    Outbox {
        #[command(subcommand)]
        command: operate::Outbox,
    },
    /// Send a digest that is over once more, under the same Message-ID.
    Resend {
        /// SUBSCRIBER#NUMBER, as `outbox list --all` shows it.
        digest: String,
    },
    /// The addresses that are not mailed.
    Suppression {
        #[command(subcommand)]
        command: operate::Suppression,
    },
    /// Who subscribes.
    Subscriber {
        #[command(subcommand)]
        command: operate::Subscriber,
    },
    /// Settle one mail that came back, from standard input: a delivery report, a complaint, a request to leave.
    Bounce,
    /// Everything that is remembered, for backup and for moves.
    State {
        #[command(subcommand)]
        command: operate::State,
    },
    /// Show the whole main job on this machine, without any account or network.
    Demo {
        /// Where the received mails and the index go.
        #[arg(long, value_name = "DIR", default_value = "demo-output")]
        out: PathBuf,
    },
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print a manual page: of the commands, or of the configuration.
    Man {
        /// Which one.
        #[arg(value_enum, default_value_t)]
        page: manual::Page,
    },
}

/// Parses the arguments, carries the command out, and says how it ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = level(&cli);
    telemetry::start(
        match cli.log_format {
            LogFormatArg::Text => LogFormat::Text,
            LogFormatArg::Json => LogFormat::Json,
        },
        level,
    );
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("paperround: the runtime cannot start: {error}");
            return ExitCode::from(Exit::Failed.code());
        }
    };
    let reply = runtime
        .block_on(dispatch(cli))
        .unwrap_or_else(|error| admin::failed(&error));
    // A name that is being looked up, or a disk that does not answer, must not hold the end up.
    runtime.shutdown_timeout(LEFT_BEHIND_MAX);
    print(&reply)
}

/// The command line's definition, for completions, the manual page and tests.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// The version with that of the built-in time zone rules, which age.
fn long_version() -> clap::builder::Str {
    static TEXT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        format!(
            "{} (time zone rules of {})",
            env!("CARGO_PKG_VERSION"),
            chrono_tz::IANA_TZDB_VERSION
        )
    });
    TEXT.as_str().into()
}

fn level(cli: &Cli) -> &'static str {
    let talkative = matches!(cli.command, Sub::Serve | Sub::Run { .. });
    if matches!(cli.command, Sub::Demo { .. }) && cli.verbose == 0 {
        // An empty state is what a demonstration begins with, and no reason to warn.
        return "error";
    }
    match (cli.quiet, cli.verbose, talkative) {
        (true, _, _) => "error",
        (_, 0, true) => "info",
        (_, 0, false) => "warn",
        (_, 1, true) => "debug",
        (_, 1, false) => "info",
        _ => "trace",
    }
}

async fn dispatch(cli: Cli) -> Result<Reply, AppError> {
    let path = config_path(cli.config.as_deref());
    match cli.command {
        Sub::Completions { shell } => {
            let mut bytes = Vec::new();
            clap_complete::generate(shell, &mut definition(), "paperround", &mut bytes);
            Ok(Reply::done(String::from_utf8_lossy(&bytes).into_owned()))
        }
        Sub::Man { page } => Ok(Reply::done(manual::page(page, definition()))),
        Sub::Demo { out } => crate::demo::run(&out).await.map(Reply::done),
        Sub::Serve => crate::daemon::serve(&path).await,
        Sub::Check { online } => check(&path, online).await,
        Sub::Run {
            due,
            dry_run,
            out,
            now,
            resume,
            json,
        } => {
            let dry_run_out = out.filter(|_| dry_run).as_deref().map(absolute).transpose()?;
            let command = Command::Run {
                due,
                dry_run_out,
                resume,
                json,
            };
            on_store(&path, command, &Options { now, dry_run }).await
        }
        Sub::Preview {
            subscriber,
            format,
            out,
            days,
            welcome,
        } => {
            let format = match format {
                FormatArg::Html => PreviewFormat::Html,
                FormatArg::Text => PreviewFormat::Text,
                FormatArg::Eml => PreviewFormat::Eml,
            };
            let reply = on_store(
                &path,
                Command::Preview {
                    subscriber,
                    format,
                    days,
                    welcome,
                },
                &Options::default(),
            )
            .await?;
            match out {
                Some(out) => to_file(reply, &out),
                None => Ok(reply),
            }
        }
        Sub::Try {
            query,
            is_query,
            days,
            stored,
            json,
        } => {
            let command = Command::Try {
                query,
                is_query,
                days,
                stored,
                bold: std::io::stdout().is_terminal(),
                json,
            };
            on_store(&path, command, &Options::default()).await
        }
        Sub::Export { format, out } => {
            let format = format.into();
            let reply = on_store(&path, Command::Export { format }, &Options::default()).await?;
            match out {
                Some(out) => to_file(reply, &out),
                None => Ok(reply),
            }
        }
        Sub::Outbox { command } => on_store(&path, command.into(), &Options::default()).await,
        Sub::Resend { digest } => on_store(&path, Command::Resend { digest }, &Options::default()).await,
        Sub::Suppression { command } => on_store(&path, command.into(), &Options::default()).await,
        Sub::Subscriber { command } => on_store(&path, command.into(), &Options::default()).await,
        Sub::Bounce => on_store(&path, operate::bounce()?, &Options::default()).await,
        Sub::State {
            command: operate::State::Export { out },
        } => {
            let reply = on_store(&path, Command::StateExport, &Options::default()).await?;
            match out {
                Some(out) => to_file(reply, &out),
                None => Ok(reply),
            }
        }
        Sub::State {
            command: operate::State::Import { file },
        } => {
            let command = Command::StateImport { path: absolute(&file)? };
            on_store(&path, command, &Options::default()).await
        }
        Sub::TestMail { address } => on_store(&path, Command::TestMail { address }, &Options::default()).await,
        Sub::Status { json } => on_store(&path, Command::Status { json }, &Options::default()).await,
        Sub::Why {
            identifier,
            subscriber,
            json,
        } => {
            on_store(
                &path,
                Command::Why {
                    identifier,
                    subscriber,
                    json,
                },
                &Options::default(),
            )
            .await
        }
    }
}

/// `--config`, else `$PAPERROUND_CONFIG` (clap reads it), else `config.toml` here, else the system's.
fn config_path(given: Option<&Path>) -> PathBuf {
    let here = Path::new("config.toml");
    match given {
        Some(path) => path.to_owned(),
        None if here.exists() => here.to_owned(),
        None => PathBuf::from("/etc/paperround/config.toml"),
    }
}

fn to_file(reply: Reply, path: &Path) -> Result<Reply, AppError> {
    if reply.exit != Exit::Done {
        return Ok(reply);
    }
    std::fs::write(path, &reply.output).map_err(|error| AppError::Usage(format!("{}: {error}", path.display())))?;
    Ok(Reply::done(format!("{}\n", path.display())))
}

fn print(reply: &Reply) -> ExitCode {
    // A closed pipe (`| head`) is the reader's choice, not an error of ours.
    let _closed_pipe = std::io::stdout().lock().write_all(reply.output.as_bytes());
    for problem in &reply.problems {
        for line in problem.lines() {
            eprintln!("paperround: {line}");
        }
    }
    ExitCode::from(reply.exit.code())
}

/// Whether standard error shows a moving bar.
fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}
