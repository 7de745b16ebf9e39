//! A term as arXiv queries, and the window that they look at.
//!
//! A query finds a superset of what [`crate::matching`] accepts; the matcher decides. So NOT is left out, NEAR
//! becomes AND, and a word that arXiv's index cannot answer for is left out of an AND. The known gaps are what
//! arXiv's index takes for one token although the matcher sees two (`word.word`, `a_b`, `\textbf{R}est`), accents
//! in names that `spelling.rs` does not list, and initials written together (`J.Q. Doe`) of an author whose middle
//! name is not configured; a harvest finds those.
//!
//! arXiv's grammar has no precedence and repairs what it does not understand, so every group is in parentheses
//! and every phrase in quotes.

mod spelling;

use chrono::{DateTime, Duration, Utc};

use crate::{
    matching::{Expression, Leaf, QueryError, Scope, category, expression},
    model::Term,
};

/// The longest request line that arXiv takes is 4,094 bytes; addresses stay below this.
pub const URL_BYTES_MAX: usize = 3_900;
/// What the address holds besides the query: host, path, paging, sorting and the window.
const URL_REST_BYTES: usize = 500;
/// The most queries that one term may become.
pub const QUERIES_MAX: usize = 20;

/// A term that cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The term itself is wrong.
    #[error("the term cannot be read")]
    Term(#[from] QueryError),
    /// arXiv's search knows none of its words.
    #[error("{text:?} holds only words that arXiv's search leaves out; runs find it by harvesting")]
    NotSearchable {
        /// The term.
        text: String,
    },
    /// It would need too many searches.
    #[error("{text:?} would need more than {QUERIES_MAX} searches; runs find it by harvesting")]
    TooLarge {
        /// The term.
        text: String,
    },
}

/// The queries that together find every paper which fits the term and, of each list of categories, at least one.
///
/// Nearly always one; several where one would be longer than an address may be. Each is one group in
/// parentheses, not yet encoded. A list of categories without any that can exist is no restriction here.
///
/// # Errors
/// If the term cannot be read or asked for.
pub fn search_queries(term: &Term, categories: &[Vec<String>]) -> Result<Vec<String>, SearchError> {
    let text = || term.text.clone();
    let tree = compile(&expression(term)?).ok_or_else(|| SearchError::NotSearchable { text: text() })?;
    let mut room = URL_BYTES_MAX - URL_REST_BYTES;
    let mut filters = Vec::new();
    for filter in categories.iter().filter_map(|list| any_category(list)) {
        // Half of the room is the term's; categories that do not fit are left to the matcher's side.
        let size = filter.encoded_len() + encoded_len(" AND ()");
        if room - size.min(room) >= (URL_BYTES_MAX - URL_REST_BYTES) / 2 {
            room -= size;
            filters.push(filter);
        }
    }
    let parts = split(tree, room);
    if parts.len() > QUERIES_MAX {
        return Err(SearchError::TooLarge { text: text() });
    }
    Ok(parts
        .into_iter()
        .map(|part| {
            let mut all = vec![part];
            all.extend(filters.iter().cloned());
            Tree::and(all).to_string()
        })
        .collect())
}

/// The query, restricted to papers whose first version was submitted between two instants, both included.
///
/// arXiv counts in minutes, so the window is widened to whole ones.
pub fn within(query: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    format!("({query} AND {})", submitted_between(from, to))
}

/// Every paper whose first version was submitted between two instants, both included, widened to whole minutes.
pub fn submitted_between(from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    let to = to
        .checked_add_signed(Duration::seconds(59))
        .unwrap_or(DateTime::<Utc>::MAX_UTC);
    let minute = |at: DateTime<Utc>| at.format("%Y%m%d%H%M").to_string();
    format!("submittedDate:[{} TO {}]", minute(from), minute(to))
}

/// The same in, of each list of categories, at least one. Lists that are too long for an address are left out.
pub fn submitted_in(categories: &[Vec<String>], from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    let window = submitted_between(from, to);
    let mut all: Vec<Tree> = Vec::new();
    for filter in categories.iter().filter_map(|list| any_category(list)) {
        let size: usize = all.iter().chain([&filter]).map(Tree::encoded_len).sum();
        if size <= URL_BYTES_MAX - URL_REST_BYTES {
            all.push(filter);
        }
    }
    if all.is_empty() {
        return window;
    }
    format!("({} AND {window})", Tree::and(all))
}

/// A query before it is written down.
#[derive(Debug, Clone)]
enum Tree {
    /// `ti:"graph"`
    Term(String),
    /// At least one.
    And(Vec<Tree>),
    /// At least one.
    Or(Vec<Tree>),
}

impl Tree {
    fn and(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 {
            parts.remove(0)
        } else {
            Self::And(parts)
        }
    }

    /// The length once encoded for an address.
    fn encoded_len(&self) -> usize {
        match self {
            Self::Term(text) => encoded_len(text),
            Self::And(parts) | Self::Or(parts) => {
                let operators = 5 * parts.len();
                parts.iter().map(Self::encoded_len).sum::<usize>() + operators + encoded_len("()")
            }
        }
    }
}

impl std::fmt::Display for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (parts, operator) = match self {
            Self::Term(text) => return f.write_str(text),
            Self::And(parts) => (parts, " AND "),
            Self::Or(parts) => (parts, " OR "),
        };
        let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
        write!(f, "({})", parts.join(operator))
    }
}

/// Bytes of a text as a form encodes it: a blank is one byte, a sign outside the unreserved ones three.
fn encoded_len(text: &str) -> usize {
    let width = |b: u8| {
        if b.is_ascii_alphanumeric() || b" -._*".contains(&b) {
            1
        } else {
            3
        }
    };
    text.bytes().map(width).sum()
}

/// What finds all that fits; `None` if nothing but everything would.
fn compile(expression: &Expression) -> Option<Tree> {
    match expression {
        Expression::Leaf(Leaf::Words { scope, text, spelling }) => {
            let fields: &[&str] = match scope {
                Scope::TitleOrAbstract => &["ti", "abs"],
                Scope::Title => &["ti"],
                Scope::Abstract => &["abs"],
                Scope::Comment => &["co"],
                Scope::JournalRef => &["jr"],
            };
            let is_stemmed = matches!(scope, Scope::TitleOrAbstract | Scope::Title | Scope::Abstract);
            let forms = spelling::forms(text, *spelling, is_stemmed);
            any_term(
                forms
                    .iter()
                    .flat_map(|form| fields.iter().map(move |field| format!("{field}:{form}"))),
            )
        }
        Expression::Leaf(Leaf::Author(name)) => {
            any_term(spelling::names(name).into_iter().map(|form| format!("au:\"{form}\"")))
        }
        Expression::Leaf(Leaf::Category(pattern)) => any_category(std::slice::from_ref(pattern)),
        Expression::Not(_) => None,
        Expression::Near { left, right, .. } => all([left.as_ref(), right.as_ref()]),
        Expression::And(parts) => all(parts),
        Expression::Or(parts) => parts.iter().map(compile).collect::<Option<_>>().map(Tree::Or),
    }
}

fn all<'e>(parts: impl IntoIterator<Item = &'e Expression>) -> Option<Tree> {
    let parts: Vec<Tree> = parts.into_iter().filter_map(compile).collect();
    (!parts.is_empty()).then(|| Tree::and(parts))
}

fn any_term(terms: impl Iterator<Item = String>) -> Option<Tree> {
    let terms: Vec<Tree> = terms.map(Tree::Term).collect();
    (!terms.is_empty()).then_some(Tree::Or(terms))
}

/// Any of the patterns, under all their names.
fn any_category(patterns: &[String]) -> Option<Tree> {
    let mut names: Vec<String> = Vec::new();
    for pattern in patterns.iter().filter_map(|pattern| category::canonical(pattern)) {
        let twins = category::aliases(&pattern).into_iter().map(str::to_owned);
        for name in std::iter::once(pattern.clone()).chain(twins) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    any_term(names.into_iter().map(|name| format!("cat:{name}")))
}

/// Divides a tree into trees that fit into `room` and together find at least the same.
fn split(tree: Tree, room: usize) -> Vec<Tree> {
    if tree.encoded_len() <= room {
        return vec![tree];
    }
    match tree {
        // A phrase is bounded well below the room.
        Tree::Term(_) => vec![tree],
        Tree::Or(parts) => {
            let mut groups: Vec<Vec<Tree>> = Vec::new();
            // A group's own parentheses need room too.
            let inner = room.saturating_sub(encoded_len("()") + 5);
            for part in parts.into_iter().flat_map(|part| split(part, inner)) {
                match groups.last_mut() {
                    Some(group) if Tree::Or(group.clone()).encoded_len() + part.encoded_len() + 5 <= room => {
                        group.push(part);
                    }
                    _ => groups.push(vec![part]),
                }
            }
            groups.into_iter().map(Tree::Or).collect()
        }
        // Each part alone finds all; the shortest ones that fit together find the least besides.
        Tree::And(mut parts) => {
            parts.sort_by_key(Tree::encoded_len);
            let mut chosen: Vec<Tree> = Vec::new();
            let mut size = encoded_len("()");
            let shortest = parts[0].clone();
            for part in parts {
                size += part.encoded_len() + 5;
                if size > room {
                    break;
                }
                chosen.push(part);
            }
            if chosen.is_empty() {
                split(shortest, room)
            } else {
                vec![Tree::and(chosen)]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::TimeZone as _;

    use super::*;
    use crate::{
        matching::{
            Matcher,
            fixture::{corpus, python},
            readable,
        },
        model::Paper,
    };

    /// CASES 3, 4, 6, 7, 8.
    #[test]
    fn a_term_becomes_one_parenthesised_query() {
        let check = |term: &Term, categories: &[&[&str]], expected: &str| {
            let categories: Vec<Vec<String>> = categories
                .iter()
                .map(|list| list.iter().map(|c| (*c).to_owned()).collect())
                .collect();
            assert_eq!(search_queries(term, &categories).unwrap(), [expected], "{term:?}");
        };
        let phrase = |text: &str| Term::phrase(text);
        let query = |text: &str| Term::query(text);
        check(
            &phrase("quantum error correction"),
            &[],
            r#"(ti:"quantum error correction" OR abs:"quantum error correction")"#,
        );
        check(
            &phrase("multi-agent"),
            &[],
            r#"(ti:"multi-agent" OR abs:"multi-agent")"#,
        );
        check(
            &phrase("-omics"),
            &[],
            r#"(ti:"-omics" OR abs:"-omics" OR ti:"-omicses" OR abs:"-omicses")"#,
        );
        check(&phrase("R&D"), &[], r#"(ti:"R&D" OR abs:"R&D")"#);
        check(&phrase("F#"), &[], r#"(ti:"F#" OR abs:"F#")"#);
        check(
            &phrase("100% renewable"),
            &[],
            r#"(ti:"100% renewable" OR abs:"100% renewable")"#,
        );
        check(
            &phrase("A/B testing"),
            &[],
            r#"(ti:"A/B testing" OR abs:"A/B testing")"#,
        );
        check(
            &phrase("what is 2+2=4?"),
            &[],
            r#"(ti:"what is 2+2=4?" OR abs:"what is 2+2=4?")"#,
        );
        check(
            &phrase("LLM agents (survey"),
            &[],
            r#"(ti:"LLM agents survey" OR abs:"LLM agents survey")"#,
        );
        check(&phrase("a/b?c"), &[], r#"(ti:"a/b?c" OR abs:"a/b?c")"#);
        check(
            &phrase("x\" OR cat:cs.LG"),
            &[],
            r#"(ti:"x OR cat:cs.LG" OR abs:"x OR cat:cs.LG")"#,
        );
        check(
            &phrase("O(n log n)"),
            &[&["cs.*", "stat.ML"], &["cs.LG"]],
            r#"((ti:"O n log n" OR abs:"O n log n") AND (cat:cs.* OR cat:math.IT OR cat:eess.SY OR cat:math.NA OR cat:stat.ML) AND (cat:cs.LG))"#,
        );
        check(&phrase("x1"), &[&["no such thing"]], r#"(ti:"x1" OR abs:"x1")"#);
        check(
            &query("(\"vision transformer\" OR ViT) AND NOT ti:survey"),
            &[],
            r#"((ti:"vision transformer" OR abs:"vision transformer") OR (ti:"ViT" OR abs:"ViT"))"#,
        );
        check(
            &query("deep NEAR/3 ti:graph"),
            &[],
            r#"((ti:"deep" OR abs:"deep") AND (ti:"graph"))"#,
        );
        check(&query("co:CVPR AND \"of the\""), &[], r#"(co:"CVPR" OR co:"CVPRs")"#);
        check(
            &query("cat:math.IT AND univers*"),
            &[],
            r"((cat:math.IT OR cat:cs.IT) AND (ti:univ* OR abs:univ*))",
        );
        check(&Term::author("Jane Doe"), &[], r#"(au:"Jane Doe" OR au:"J Doe")"#);
    }

    #[test]
    fn all_papers_of_a_time_are_asked_for_by_dates_and_categories() {
        let at = |text: &str| text.parse().unwrap();
        let (from, to) = (at("2026-02-01T07:00:30Z"), at("2026-02-03T07:00:30Z"));
        let check = |categories: &[&[&str]], expected: &str| {
            let categories: Vec<Vec<String>> = categories
                .iter()
                .map(|list| list.iter().map(|name| (*name).to_owned()).collect())
                .collect();
            assert_eq!(submitted_in(&categories, from, to), expected);
        };
        check(&[], "submittedDate:[202602010700 TO 202602030701]");
        check(
            &[&["cs.LG", "stat.ML"]],
            "((cat:cs.LG OR cat:stat.ML) AND submittedDate:[202602010700 TO 202602030701])",
        );
        check(
            &[&["cs.LG"], &["no such thing"], &["stat.ML"]],
            "(((cat:cs.LG) AND (cat:stat.ML)) AND submittedDate:[202602010700 TO 202602030701])",
        );
    }

    #[test]
    fn a_term_without_a_searchable_word_is_named() {
        for text in ["to be or not to be", "it", "A* of the"] {
            let error = search_queries(&Term::phrase(text), &[]).unwrap_err();
            assert!(matches!(error, SearchError::NotSearchable { .. }), "{text}: {error}");
        }
        let error = search_queries(&Term::query("graph OR \"of the\""), &[]).unwrap_err();
        assert!(matches!(error, SearchError::NotSearchable { .. }));
        assert!(matches!(
            search_queries(&Term::query("("), &[]),
            Err(SearchError::Term(_))
        ));
    }

    #[test]
    fn a_window_holds_whole_minutes() {
        let at = |minute, second| Utc.with_ymd_and_hms(2026, 11, 26, 0, minute, second).unwrap();
        let check = |from, to, expected: &str| assert_eq!(within("(x)", from, to), expected);
        check(
            at(0, 0),
            at(5, 0),
            "((x) AND submittedDate:[202611260000 TO 202611260005])",
        );
        check(
            at(0, 59),
            at(5, 1),
            "((x) AND submittedDate:[202611260000 TO 202611260006])",
        );
    }

    #[test]
    fn an_address_is_never_too_long() {
        let words: Vec<String> = (0..190).map(|n| format!("\"word number {n}\"")).collect();
        let accented = "Schrödinger Poincaré ".repeat(20);
        let terms = [
            Term::query(
                words
                    .join(" OR ")
                    .chars()
                    .take(3_980)
                    .collect::<String>()
                    .trim_end_matches(|c| c != '"'),
            ),
            Term::query(format!("({}) AND rare", words[..180].join(" OR "))),
            Term::query(words[..150].join(" AND ")),
            Term::phrase("深".repeat(166)),
            Term::phrase(accented.trim()),
            Term::query(format!("\"{}\"", "long ".repeat(700))),
        ];
        let categories = [
            vec!["cs.*".to_owned(), "physics.acc-ph".to_owned()],
            vec!["cs.LG".to_owned(); 2],
        ];
        for term in &terms {
            let queries = search_queries(term, &categories).unwrap();
            assert!(!queries.is_empty());
            for query in &queries {
                let query = within(query, DateTime::<Utc>::UNIX_EPOCH, DateTime::<Utc>::UNIX_EPOCH);
                assert!(
                    encoded_len(&query) + 200 < URL_BYTES_MAX,
                    "{} bytes: {query}",
                    encoded_len(&query)
                );
            }
        }
        // What is divided still asks for everything.
        let all = search_queries(&terms[0], &[]).unwrap();
        assert!(all.len() > 1);
        assert!((0..150).all(|n| {
            all.iter()
                .any(|query| query.contains(&format!("ti:\"word number {n}\"")))
        }));
    }

    #[test]
    fn the_length_is_that_of_a_form_encoded_text() {
        let url = reqwest::Url::parse_with_params("http://x", [("q", "(ti:\"é a-b_c.d*\" ~")]).unwrap();
        let encoded = url.query().unwrap().strip_prefix("q=").unwrap();
        assert_eq!(encoded_len("(ti:\"é a-b_c.d*\" ~"), encoded.len(), "{encoded}");
    }

    const PHRASES: [&str; 44] = [
        "graph neural network",
        "RAG",
        "reinforcement learning",
        "multi-agent",
        "large language model",
        "diffusion model",
        "GNN",
        "federated learning",
        "chain of thought",
        "hallucination",
        "LLMs",
        "NAS",
        "GAN",
        "state-of-the-art",
        "bias",
        "loss",
        "Schrodinger",
        "Schrödinger equation",
        "Poincare",
        "Frechet",
        "k-means",
        "zero-shot",
        "AI",
        "GPT-4o",
        "3D",
        "black hole",
        "dark matter",
        "transformer",
        "attention is all you need",
        "Monte Carlo",
        "C++",
        "fine-tuning",
        "CO2",
        "H2O",
        "lens",
        "virus",
        "α",
        "gamma-ray burst",
        "learning to rank",
        "user's intent",
        "pre-trained",
        "AIS",
        "analysis",
        "movie",
    ];

    const QUERIES: [&str; 20] = [
        "(\"neural architecture search\" OR NAS) AND NOT ti:storage",
        "ti:graph AND abs:network",
        "transform* AND attention",
        "universal* OR general*",
        "relat* AND NOT cat:hep-th",
        "deep NEAR/3 learning",
        "cat:cs.LG AND policy",
        "cat:math.IT OR cat:stat.TH",
        "co:CVPR OR co:ICML",
        "co:workshop",
        "jr:Nature",
        "au:\"Del Maestro\"",
        "au:\"Y. Wang\"",
        "au:\"Wei Zhang\"",
        "=Bayesian AND prior",
        "happ* OR stud*",
        "ti:survey AND (LLM OR \"language model\")",
        "quantum AND NOT (gravity OR ti:field)",
        "generaliz* OR ability*",
        "ti:\"on the\" OR ti:networks OR optimi*",
    ];

    /// What the matcher accepts, arXiv's search finds, as the simulator imitates it; but for papers in whose text the
    /// index takes two words for one. Of each of those it is shown that this alone is the reason: written as the matcher
    /// reads it, the same query finds the paper. The weekly harvest brings them, which `tests/it/harvest.rs` shows.
    #[test]
    fn the_search_finds_all_that_the_matcher_accepts_but_what_the_index_joins() {
        let script = "
import sys, json
sys.path.insert(0, '.')
import arxiv_sim as sim
papers = [sim.Paper(json.loads(l)) for l in open('../arxiv/corpus.jsonl', encoding='utf-8')]
index = sim.Index(papers)
for q in sys.stdin.read().split('\\n'):
    print(json.dumps([papers[n].id for n in index.search(sim.parse_query(sim.repair(q)))]))
";
        let Some(corpus) = corpus() else { return };
        let mut terms: Vec<Term> = PHRASES.iter().map(|text| Term::phrase(*text)).collect();
        terms.extend(
            QUERIES
                .iter()
                .filter(|text| !text.contains("on the"))
                .map(|text| Term::query(*text)),
        );
        terms.extend(["learning metrics", "generated network"].map(|text| Term {
            stemming: true,
            ..Term::phrase(text)
        }));
        terms.extend(
            [
                "Jane Doe",
                "Wei Wang",
                "Jean-Luc Example",
                "Müller",
                "ATLAS Collaboration",
            ]
            .map(Term::author),
        );
        // What people would copy from a title.
        terms.extend(corpus.iter().step_by(47).filter_map(|paper| {
            let words: Vec<&str> = paper.title.split_whitespace().skip(1).take(3).collect();
            let term = Term::phrase(words.join(" "));
            search_queries(&term, &[]).is_ok().then_some(term)
        }));
        let queries: Vec<(usize, String)> = terms
            .iter()
            .enumerate()
            .flat_map(|(index, term)| {
                search_queries(term, &[])
                    .unwrap()
                    .into_iter()
                    .map(move |query| (index, query))
            })
            .collect();
        let input: Vec<&str> = queries.iter().map(|(_, query)| query.as_str()).collect();
        let Some(answers) = python(script, &input.join("\n")) else {
            return;
        };
        let mut searched = vec![BTreeSet::new(); terms.len()];
        for ((index, _), answer) in queries.iter().zip(answers.lines()) {
            searched[*index].extend(serde_json::from_str::<Vec<String>>(answer).unwrap());
        }
        let mut accepted = 0;
        let mut missed: Vec<(usize, &Paper)> = Vec::new();
        let matcher = Matcher::new(&terms).unwrap();
        for paper in &corpus {
            for found in matcher.find(paper) {
                accepted += 1;
                if !searched[found.term].contains(&paper.id.to_string()) {
                    missed.push((found.term, paper));
                }
            }
        }
        println!("{accepted} accepted, {} of them not found by the search:", missed.len());
        assert!(accepted > 5_000, "{accepted}");
        // The same papers without what joins words, in the ways in which the matcher may have read them.
        let mut apart = Vec::new();
        for (term, paper) in &missed {
            println!("  {}: {} {}", terms[*term].text, paper.id, paper.title);
            let of_term = queries.iter().filter(|(index, _)| index == term);
            let of_term: Vec<&str> = of_term.map(|(_, query)| query.as_str()).collect();
            for read in READINGS {
                let text = |source: &str| words_apart(source, read);
                apart.push(serde_json::json!({
                    "queries": of_term,
                    "paper": {
                        "id": paper.id.to_string(), "title": text(&paper.title), "abstract": text(&paper.abstract_text),
                        "authors": paper.authors.iter().map(|author| &author.name).collect::<Vec<_>>(),
                        "categories": paper.categories, "comment": paper.comment, "journal_ref": paper.journal_ref,
                        "published": "2026-02-01T00:00:00Z", "updated": "2026-02-01T00:00:00Z",
                    },
                }));
            }
        }
        let script = "
import sys, json
sys.path.insert(0, '.')
import arxiv_sim as sim
for case in map(json.loads, sys.stdin):
    index = sim.Index([sim.Paper(case['paper'])])
    print(any(index.search(sim.parse_query(sim.repair(q))) for q in case['queries']))
";
        let input: Vec<String> = apart.iter().map(ToString::to_string).collect();
        let Some(answers) = python(script, &input.join("\n")) else {
            return;
        };
        let answers: Vec<bool> = answers.lines().map(|answer| answer == "True").collect();
        assert_eq!(answers.len(), apart.len());
        for ((term, paper), found) in missed.iter().zip(answers.chunks(READINGS.len())) {
            assert!(
                found.contains(&true),
                "{}: {} is missed for another reason",
                terms[*term].text,
                paper.id
            );
        }
    }

    /// How TeX is read, and which signs between two letters or digits are blanks then.
    type ReadAs = (fn(&str) -> String, &'static [char]);
    const READINGS: [ReadAs; 3] = [
        (readable, &['.', ':', '_', '·']),
        (readable, &['.', ':', '_', '·', '\'', '\u{2019}']),
        // Commands and scripts as words of their own: `$\alpha_s$` as `alpha s`.
        (without_tex_signs, &['.', ':']),
    ];

    fn without_tex_signs(source: &str) -> String {
        source.replace(['\\', '{', '}', '$', '_', '^', '~'], " ")
    }

    /// A text in whose words nothing is joined that the matcher takes apart.
    fn words_apart(source: &str, (read, joining): ReadAs) -> String {
        let text: Vec<char> = read(source).chars().collect();
        let is_inside = |at: usize| {
            let is_letter = |at: usize| text.get(at).is_some_and(|c| c.is_alphanumeric());
            at > 0 && is_letter(at - 1) && is_letter(at + 1)
        };
        (0..text.len())
            .map(|at| {
                if joining.contains(&text[at]) && is_inside(at) {
                    ' '
                } else {
                    text[at]
                }
            })
            .collect()
    }
}
