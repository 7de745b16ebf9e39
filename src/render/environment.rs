//! The templates: built in, each one overridable, checked before the first mail.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use minijinja::{
    AutoEscape, Environment, Output, State, UndefinedBehavior, Value, context, escape_formatter,
    syntax::SyntaxConfig,
    value::{Serde, ValueKind},
};

use super::{
    Settings,
    body::Body,
    clean::{escape_into, is_banned},
    kept::{fill, remember},
    kind_name, notice,
    palette::{DARK, LIGHT},
    sample, squeezed,
    view::Page,
    web,
    wrap::wrap,
};
use crate::model::DigestKind;

/// What one template may do, in the engine's instructions: enough for 2,000 papers, which is far more than fit.
const FUEL: u64 = 4_000_000;
/// What the names of templates of plain text end with.
const TEXT: &str = ".txt.j2";
/// The largest template file.
const TEMPLATE_BYTES_MAX: u64 = 256 * 1024;

pub(super) const BUILT_IN: [(&str, &str); 18] = [
    ("dark.html.j2", include_str!("../../templates/dark.html.j2")),
    ("layout.html.j2", include_str!("../../templates/layout.html.j2")),
    ("cards.html.j2", include_str!("../../templates/cards.html.j2")),
    ("layout.txt.j2", include_str!("../../templates/layout.txt.j2")),
    ("cards.txt.j2", include_str!("../../templates/cards.txt.j2")),
    (
        "digest.subject.txt.j2",
        include_str!("../../templates/digest.subject.txt.j2"),
    ),
    ("digest.txt.j2", include_str!("../../templates/digest.txt.j2")),
    ("digest.html.j2", include_str!("../../templates/digest.html.j2")),
    (
        "quiet.subject.txt.j2",
        include_str!("../../templates/quiet.subject.txt.j2"),
    ),
    ("quiet.txt.j2", include_str!("../../templates/quiet.txt.j2")),
    ("quiet.html.j2", include_str!("../../templates/quiet.html.j2")),
    (
        "welcome.subject.txt.j2",
        include_str!("../../templates/welcome.subject.txt.j2"),
    ),
    ("welcome.txt.j2", include_str!("../../templates/welcome.txt.j2")),
    ("welcome.html.j2", include_str!("../../templates/welcome.html.j2")),
    ("notice.txt.j2", include_str!("../../templates/notice.txt.j2")),
    ("notice.html.j2", include_str!("../../templates/notice.html.j2")),
    ("web.html.j2", include_str!("../../templates/web.html.j2")),
    ("papers.html.j2", include_str!("../../templates/papers.html.j2")),
];

/// An overriding template that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateProblem {
    /// Its file.
    pub file: PathBuf,
    /// The line, where one can be named.
    pub line: Option<usize>,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for TemplateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}; the built-in template is used", self.reason)
    }
}

/// The directory of overriding templates cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("templates_dir {} cannot be read; create it, or remove the key to use the built-in templates", dir.display())]
pub struct TemplateError {
    /// The configured directory.
    pub dir: PathBuf,
    source: io::Error,
}

/// The templates in use.
#[derive(Debug)]
pub(super) struct Templates {
    built_in: Environment<'static>,
    /// With the overrides, if there are any.
    overridden: Option<Environment<'static>>,
    dir: PathBuf,
    pub(super) problems: Vec<TemplateProblem>,
    /// The texts of the overrides in use, which enter the bytes of every mail.
    pub(super) sources: BTreeMap<&'static str, String>,
}

impl Templates {
    /// Reads the overrides and tries each kind of mail on a sample; what fails is left out.
    pub(super) fn load(dir: Option<&Path>, settings: &Settings) -> Result<Self, TemplateError> {
        let mut templates = Self {
            built_in: environment(&BTreeMap::new()).0,
            overridden: None,
            dir: dir.unwrap_or(Path::new("")).to_owned(),
            problems: Vec::new(),
            sources: BTreeMap::new(),
        };
        let Some(dir) = dir else { return Ok(templates) };
        let mut overrides = read(dir, &mut templates.problems).map_err(|source| TemplateError {
            dir: dir.to_owned(),
            source,
        })?;
        // Each turn uses what compiles and drops one that fails on the sample, so this ends.
        while !overrides.is_empty() {
            let (env, broken) = environment(&overrides);
            for (name, error) in broken {
                overrides.remove(name);
                templates.problems.push(problem(dir, name, &error));
            }
            let Some((kind, error)) = failing_kind(&env, settings) else {
                templates.overridden = (!overrides.is_empty()).then_some(env);
                templates.sources = overrides;
                break;
            };
            // An override may also misuse a built-in template: then the error names that one, and all overrides of
            // this kind of mail, or else of what they share, are under suspicion.
            let culprit = error.name().unwrap_or_default();
            let suspects: Vec<&'static str> = match overrides.keys().find(|name| **name == culprit) {
                Some(name) => vec![*name],
                None => {
                    let own: Vec<_> = overrides
                        .keys()
                        .copied()
                        .filter(|name| name.starts_with(kind))
                        .collect();
                    if own.is_empty() {
                        overrides.keys().copied().collect()
                    } else {
                        own
                    }
                }
            };
            for name in suspects {
                overrides.remove(name);
                templates.problems.push(problem(dir, name, &error));
            }
        }
        Ok(templates)
    }

    /// Whether any template is overridden.
    pub(super) fn is_overridden(&self) -> bool {
        self.overridden.is_some()
    }

    /// Renders the parts from one page, with the overrides or else all of them with the built-in templates.
    pub(super) fn render(
        &self,
        parts: &[String],
        page: Page,
    ) -> Result<(Vec<Body>, Option<TemplateProblem>), minijinja::Error> {
        self.render_values(parts, &values(page))
    }

    /// The same from any values.
    pub(super) fn render_values(
        &self,
        parts: &[String],
        page: &Value,
    ) -> Result<(Vec<Body>, Option<TemplateProblem>), minijinja::Error> {
        let mut fell_back = None;
        if let Some(env) = &self.overridden {
            match all(env, parts, page) {
                Ok(rendered) => return Ok((rendered, None)),
                Err(error) => {
                    fell_back = Some(problem(&self.dir, error.name().unwrap_or(&parts[0]), &error));
                }
            }
        }
        Ok((all(&self.built_in, parts, page)?, fell_back))
    }
}

/// What every template is given. The palettes are the same for all mails.
fn values(page: Page) -> Value {
    static PALETTES: LazyLock<[Value; 2]> = LazyLock::new(|| [LIGHT, DARK].map(|palette| Value::from(Serde(palette))));
    let [light, dark] = &*PALETTES;
    context! { page => Value::from(Serde(page)), light, dark }
}

fn all(env: &Environment<'_>, parts: &[String], page: &Value) -> Result<Vec<Body>, minijinja::Error> {
    let render = |name: &String| {
        let rendered = env.get_template(name)?.render_captured(page.clone())?;
        if name.ends_with(TEXT) {
            fill(&squeezed(rendered.output()), rendered.state())
        } else {
            fill(rendered.output(), rendered.state())
        }
    };
    parts.iter().map(render).collect()
}

/// The first kind of mail or page that fails on its sample, and how.
fn failing_kind(env: &Environment<'_>, settings: &Settings) -> Option<(&'static str, minijinja::Error)> {
    failing_mail(env, settings).or_else(|| {
        web::samples(settings).into_iter().find_map(|(name, page)| {
            let parts = [format!("{name}.html.j2")];
            all(env, &parts, &page).err().map(|error| (name, error))
        })
    })
}

fn failing_mail(env: &Environment<'_>, settings: &Settings) -> Option<(&'static str, minijinja::Error)> {
    let digests = [DigestKind::Digest, DigestKind::Quiet, DigestKind::Welcome]
        .into_iter()
        .map(|kind| {
            let parts: &[&str] = &["subject.txt", "txt", "html"];
            (kind_name(kind), parts, sample::page(kind, settings))
        });
    let notice: (_, &[&str], _) = (notice::NAME, &["txt", "html"], sample::notice(settings));
    digests.chain([notice]).find_map(|(name, parts, page)| {
        let parts: Vec<String> = parts.iter().map(|part| format!("{name}.{part}.j2")).collect();
        all(env, &parts, &values(page)).err().map(|error| (name, error))
    })
}

fn problem(dir: &Path, name: &str, error: &minijinja::Error) -> TemplateProblem {
    TemplateProblem {
        file: dir.join(name),
        line: error.line(),
        reason: error.detail().map_or_else(
            || error.kind().to_string(),
            |detail| format!("{}: {detail}", error.kind()),
        ),
    }
}

/// The overriding files by template name. Files that override nothing are told, since a misspelt name would
/// otherwise do nothing in silence.
fn read(dir: &Path, problems: &mut Vec<TemplateProblem>) -> io::Result<BTreeMap<&'static str, String>> {
    let mut overrides = BTreeMap::new();
    let mut files: Vec<PathBuf> = fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    for file in files {
        if file.extension().is_none_or(|extension| extension != "j2") {
            continue;
        }
        let known = BUILT_IN
            .iter()
            .find(|(name, _)| file.file_name().is_some_and(|own| own == *name));
        let source = match known {
            None => Err("no template is called so".to_owned()),
            Some((name, _)) => match fs::metadata(&file) {
                Ok(meta) if meta.len() > TEMPLATE_BYTES_MAX => Err(format!("larger than {TEMPLATE_BYTES_MAX} bytes")),
                _ => fs::read_to_string(&file)
                    .map(|text| (*name, text))
                    .map_err(|error| error.to_string()),
            },
        };
        match source {
            Ok((name, text)) => {
                overrides.insert(name, text);
            }
            Err(reason) => problems.push(TemplateProblem {
                file,
                line: None,
                reason,
            }),
        }
    }
    Ok(overrides)
}

/// A fresh environment, with the overrides that do not compile left out and named.
fn environment(
    overrides: &BTreeMap<&'static str, String>,
) -> (Environment<'static>, Vec<(&'static str, minijinja::Error)>) {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env.set_debug(false);
    env.set_syntax(syntax());
    // Of plain text, too, what a macro made is told from what a paper says: it is written as it is.
    env.set_auto_escape_callback(|name| {
        if name.ends_with(TEXT) {
            AutoEscape::Custom("text".into())
        } else {
            AutoEscape::Html
        }
    });
    env.set_formatter(write_value);
    remember(&mut env);
    env.add_filter("wrap", |text: String, indent: Option<usize>| {
        wrap(&text, indent.unwrap_or(0))
    });
    let mut broken = Vec::new();
    for (name, source) in BUILT_IN {
        if let Some(own) = overrides.get(name) {
            match env.add_template_owned(name, own.clone()) {
                Ok(()) => continue,
                Err(error) => broken.push((name, error)),
            }
        }
        env.add_template(name, source)
            .expect("the built-in templates are compiled by a test");
    }
    (env, broken)
}

/// A tag on a line of its own leaves no line behind.
fn syntax() -> SyntaxConfig {
    SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
        .expect("the usual delimiters differ from each other")
}

/// Writes a value into the page. Strings lose control characters, and are escaped in HTML, unless they were made here,
/// as HTML or by a template. (The engine's own escape also turns `/` into six bytes, which makes every address longer.)
fn write_value(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    let is_html = matches!(state.auto_escape(), AutoEscape::Html);
    let text = match (value.kind(), value.as_str()) {
        (ValueKind::String, Some(text)) => text,
        _ if is_html => return escape_formatter(out, state, value),
        _ => return write!(out, "{value}").map_err(minijinja::Error::from),
    };
    let written = if value.is_safe() {
        out.write_str(text)
    } else {
        let is_allowed = |c: char| c == '\n' || matches!(c, '\u{2068}' | '\u{2069}') || !is_banned(c);
        let mut allowed = Cow::Borrowed(text);
        if !text.chars().all(is_allowed) {
            allowed = Cow::Owned(text.chars().filter(|c| is_allowed(*c)).collect());
        }
        if is_html {
            let mut escaped = String::with_capacity(allowed.len() + allowed.len() / 8);
            escape_into(&mut escaped, &allowed);
            out.write_str(&escaped)
        } else {
            out.write_str(&allowed)
        }
    };
    written.map_err(minijinja::Error::from)
}
