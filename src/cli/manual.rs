//! The manual pages, made from the command line's definition and from the shipped configuration, so that they cannot
//! fall behind either.

mod configuration;

use clap::{Arg, Command};
use roff::{Inline, Roff, bold, italic, roman};

/// Where the pages say they come from.
const SOURCE: &str = concat!("paperround ", env!("CARGO_PKG_VERSION"));

/// The name above every page.
const MANUAL: &str = "Paperround";

/// The exit statuses, in the words of README.md.
const EXITS: [(&str, &str); 7] = [
    ("0", "Done; also when there was nothing new."),
    ("1", "Failed."),
    ("2", "Wrong usage."),
    ("65", "The state is damaged, or was written by a newer version."),
    ("74", "The state cannot be read or written: disk full, no right."),
    (
        "75",
        "Incomplete: a keyword could not be fetched completely, a mail was not accepted, or another process holds the \
         state. Nothing is lost; the next run goes on.",
    ),
    ("78", "The configuration has a problem; standard error says where."),
];

const FILES: [(&str, &str); 3] = [
    (
        "/etc/paperround/config.toml",
        "The configuration; see paperround.toml(5). A config.toml in the working directory goes before it.",
    ),
    (
        "/var/lib/paperround",
        "The state of the service: who has seen what, what is on its way, and the key of tokens and Message-IDs.",
    ),
    (
        "/run/paperround/control.sock",
        "The control socket of the running daemon, through which the other commands reach it.",
    ),
];

const ENVIRONMENT: [(&str, &str); 3] = [
    (
        "PAPERROUND_CONFIG",
        "The configuration, where --config does not name one.",
    ),
    (
        "STATE_DIRECTORY, RUNTIME_DIRECTORY",
        "Set by systemd: where the state, and the control socket, are kept.",
    ),
    (
        "CREDENTIALS_DIRECTORY",
        "Set by systemd: the credential smtp-password in it is the relay's password; smtp-password-2 that of the first [[mail.relay]].",
    ),
];

/// Which page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Page {
    /// paperround(1): the commands.
    #[default]
    #[value(name = "paperround")]
    Commands,
    /// paperround.toml(5): the configuration.
    #[value(name = "paperround.toml")]
    Configuration,
}

/// The page in the language of man(1).
pub(super) fn page(which: Page, definition: Command) -> String {
    match which {
        Page::Commands => commands(definition),
        Page::Configuration => configuration::page(),
    }
}

/// The whole page. Its date is left empty: the same program gives the same page.
fn titled(name: &str, section: &str, body: &Roff) -> String {
    format!(".TH {name} {section} \"\" \"{SOURCE}\" \"{MANUAL}\"\n{}", body.render())
}

fn commands(mut definition: Command) -> String {
    // Fills in what clap adds by itself, such as the usage of each command.
    definition.build();
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]);
    roff.text([roman(
        "paperround - mail each subscriber one digest of the new arXiv papers on their keywords",
    )]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([
        bold("paperround"),
        roman(" [options] "),
        italic("command"),
        roman(" [arguments]"),
    ]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(about(&definition))]);
    roff.control("PP", []);
    roff.text([
        roman("Everything about it stands in one file, which "),
        bold("paperround.toml"),
        roman("(5) explains. As a service it runs "),
        bold("paperround serve"),
        roman("; while that runs, the other commands are carried out by it. "),
        bold("paperround status"),
        roman(" says first whether all is well; when no mail came, begin there."),
    ]);
    roff.control("SH", ["OPTIONS"]);
    roff.text([roman("Every command takes these.")]);
    for argument in shown(&definition).filter(|argument| !argument.is_positional()) {
        option(&mut roff, argument);
    }
    roff.control("SH", ["COMMANDS"]);
    for command in definition.get_subcommands().filter(|command| !command.is_hide_set()) {
        subcommand(&mut roff, command, command.get_name());
    }
    roff.control("SH", ["EXIT STATUS"]);
    table(&mut roff, &EXITS);
    roff.control("SH", ["ENVIRONMENT"]);
    table(&mut roff, &ENVIRONMENT);
    roff.control("SH", ["FILES"]);
    table(&mut roff, &FILES);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("paperround.toml"), roman("(5)")]);
    titled("PAPERROUND", "1", &roff)
}

/// One command with its arguments, then the commands below it.
fn subcommand(roff: &mut Roff, command: &Command, path: &str) {
    if command.get_name() == "help" {
        return;
    }
    roff.control("SS", [path]);
    roff.text(usage(command, path));
    roff.control("PP", []);
    roff.text([roman(about(command))]);
    for argument in shown(command).filter(|argument| !argument.is_global_set()) {
        option(roff, argument);
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        subcommand(roff, below, &format!("{path} {}", below.get_name()));
    }
}

fn usage(command: &Command, path: &str) -> Vec<Inline> {
    let mut inlines = vec![bold(format!("paperround {path}"))];
    if command.has_subcommands() {
        inlines.push(roman(" "));
        inlines.push(italic("command"));
    }
    for argument in shown(command).filter(|argument| !argument.is_global_set()) {
        let (open, close) = if argument.is_required_set() {
            ("", "")
        } else {
            ("[", "]")
        };
        inlines.push(roman(format!(" {open}")));
        inlines.extend(name(argument));
        inlines.push(roman(close));
    }
    inlines
}

/// What is worth showing: clap's own help and version explain themselves.
fn shown(command: &Command) -> impl Iterator<Item = &Arg> {
    command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && !matches!(argument.get_id().as_str(), "help" | "version"))
}

fn name(argument: &Arg) -> Vec<Inline> {
    let mut inlines = Vec::new();
    if let Some(short) = argument.get_short() {
        inlines.push(bold(format!("-{short}")));
    }
    if let Some(long) = argument.get_long() {
        if !inlines.is_empty() {
            inlines.push(roman(", "));
        }
        inlines.push(bold(format!("--{long}")));
    }
    if argument.get_action().takes_values() {
        let value = argument.get_value_names().and_then(|names| names.first());
        let value = value.map_or_else(|| argument.get_id().to_string().to_uppercase(), ToString::to_string);
        if !inlines.is_empty() {
            inlines.push(roman(" "));
        }
        inlines.push(italic(value));
    }
    inlines
}

fn option(roff: &mut Roff, argument: &Arg) {
    roff.control("TP", []);
    roff.text(name(argument));
    let mut text = argument.get_help().map(sentence).unwrap_or_default();
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set() && argument.get_action().takes_values())
        .map(|value| value.get_name().to_owned())
        .collect();
    if !values.is_empty() {
        text.push_str(&format!(" One of: {}.", values.join(", ")));
    }
    let defaults: Vec<_> = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        text.push_str(&format!(" Default: {}.", defaults.join(", ")));
    }
    roff.text([roman(text)]);
}

fn about(command: &Command) -> String {
    command.get_about().map(sentence).unwrap_or_default()
}

/// clap takes the full stop away that a page wants.
fn sentence(text: &clap::builder::StyledStr) -> String {
    let text = text.to_string();
    if text.ends_with(['.', ']']) {
        text
    } else {
        format!("{text}.")
    }
}

fn table(roff: &mut Roff, rows: &[(&str, &str)]) {
    for (name, text) in rows {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*text)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_option_stands_in_the_manual() {
        let page = page(Page::Commands, crate::cli::definition());
        let mut definition = crate::cli::definition();
        definition.build();
        let mut n_options = 0;
        let mut left: Vec<&Command> = definition
            .get_subcommands()
            .filter(|c| c.get_name() != "help")
            .collect();
        while let Some(command) = left.pop() {
            assert!(
                page.contains(&escaped(command.get_name())),
                "{} is missing",
                command.get_name()
            );
            for long in shown(command).filter_map(Arg::get_long) {
                assert!(page.contains(&escaped(&format!("--{long}"))), "--{long} is missing");
                n_options += 1;
            }
            left.extend(command.get_subcommands().filter(|c| c.get_name() != "help"));
        }
        assert!(n_options > 20, "only {n_options} options were found");
    }

    /// A hyphen is an ASCII one only if it is written so.
    fn escaped(text: &str) -> String {
        text.replace('-', "\\-")
    }
}
