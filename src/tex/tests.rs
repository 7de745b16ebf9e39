//! What readers see, case by case; then every title and abstract of the recorded corpus.

use proptest::prelude::*;

use super::*;

const MARK_TAGS: (&str, &str) = ("<mark>", "</mark>");

fn check(cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        assert_eq!(to_text(source), *expected, "of {source}");
    }
}

fn check_html(cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        assert_eq!(to_html(source, &[], MARK_TAGS), *expected, "of {source}");
    }
}

#[test]
fn relations_keep_their_distance_behind_a_macro() {
    check(&[
        (r"$\kappa = g$", "κ = g"),
        (r"$2 < \tau < 3$", "2 < τ < 3"),
        (r"$-\Delta + V$", "−Δ + V"),
        (r"$m_\chi < 1$", "m_χ < 1"),
        (r"$R_0^\ast = 1 + \langle k^2 \rangle$", "R₀^∗ = 1 + ⟨k²⟩"),
        (r"$\alpha x$", "αx"),
        (r"$( a + b )$", "(a + b)"),
    ]);
}

#[test]
fn text_without_tex_is_one_run_and_unchanged() {
    for source in [
        "A plain title",
        "",
        "P(A|B) vs P(B|A): *why* a_b_c and `code` matter", // CASES 69
        "well-known self-play in C++ and F#, 5% of ~3 GPUs ~ fast",
        "Reissner's, O'Neill's and 0.5'' seeing",
        "{1,2,..,n} and {DARTS}",
        "run with --help or -v, not --quiet",
        "np --> nd, A <-- B and <-> C",
        "Straße, naïve, 量子, 🙂 and a\u{301}",
        "  blanks  and\nlines\n  kept ",
        "S^n x R^m, x_i and 2**3",
        "https://example.org/~user/a_b?c=d&e=f",
    ] {
        let runs = read(source);
        assert!(runs.len() <= 1, "{source}: {runs:?}");
        assert_eq!(to_text(source), source);
        assert!(
            runs.iter()
                .all(|run| run.source == (0..source.len()) && run.style == Style::Plain)
        );
    }
}

#[test]
fn unknown_macros_and_paths_in_text_stay_as_they_are() {
    for source in [
        r"C:\temp\alpha",
        r"see C:\o\ss and D:\'e",
        r"\unknown{x} and \foo",
        r"as in \cite{sk:6} and \ref{fig--1}",
        r"\unknown{\'e}",
        r"F*\SL(2,F)",
        r"equations i\partial_t u=-\veps\Delta u",
        "a backslash at the end \\",
        r"\\server\share",
        r"\",
    ] {
        check(&[(source, source)]);
    }
}

#[test]
fn accents_are_read_in_every_spelling() {
    check(&[
        (r#"\"o {\"o} \"{o} \" o"#, "ö ö ö ö"),
        (r"Caf\'e, Caf{\'e}, Caf\'{e}", "Café, Café, Café"),
        (r"\'\i, \'{\i}, {\'\i}, \`{\i}, Garc\'\i a", "í, í, í, ì, García"),
        (r"Fran\c{c}ois, Fran\c cois", "François, François"),
        (r"Stone-\v{C}ech, \v Summa", "Stone-Čech, Šumma"),
        (r"Erd\H{o}s and Erd\H os", "Erdős and Erdős"),
        (
            r"\u{g} \k{a} \r{a} \d{s} \b{b} \={a} \.{z} \^{o} \~n",
            "ğ ą å ṣ ḇ ā ż ô ñ",
        ),
        (r"M{\o}ller, S{\o}ren {\O}stergaard", "Møller, Søren Østergaard"),
        (r"Bae{\ss}ler, Stra\ss e, Gau\ss", "Baeßler, Straße, Gauß"),
        (r"{\AA}berg, \AA rhus and {\L}ukasz", "Åberg, Århus and Łukasz"),
        (r"{\ae} \OE uvre \l{} \dj", "æ Œuvre ł đ"),
        (r"at 3600 \AA in width", "at 3600 Å in width"),
        (r#"F{\"o}llmer"#, "Föllmer"),
        (r"Plebanski--Demia\'{n}ski", "Plebanski–Demiański"),
        // CASES 71: inside a formula nothing changes by half.
        (
            r#"On K\"ahler and K\"{a}hler manifolds by Stanis\l aw: $\"o$"#,
            r#"On Kähler and Kähler manifolds by Stanisław: $\"o$"#,
        ),
        (r"Vari\'et\'es homog\`enes", "Variétés homogènes"),
        (r"Levi Civit\`{a}'s", "Levi Cività's"),
        (r"Erd\H{o}s-Tur\'an approach", "Erdős-Turán approach"),
    ]);
}

#[test]
fn names_get_their_accents_and_nothing_else() {
    for (source, expected) in [
        (r"Ranko Lazi\'c", "Ranko Lazić"), // CASES 71
        (r"Stanis\l aw", "Stanisław"),
        (r"{\'E}. Dupont", "É. Dupont"),
        (r"J. Ma\'iz Apell\'aniz", "J. Maíz Apellániz"),
        (r#"Ferenc Sz\"oll\H{o}si"#, "Ferenc Szöllősi"),
        (r"Rafa{\l} Lata{\l}a", "Rafał Latała"),
        (r#"K\"ur\c{s}at Aker"#, "Kürşat Aker"),
        (r"Mah\.ir B\.ilen Can", "Mahir Bilen Can"),
        (r"Kre\v{s}o Zadro", "Krešo Zadro"),
        (r"S. Bae{\ss}ler", "S. Baeßler"),
        (r#"M\"uge Ta\c{s}k\i n"#, "Müge Taşkın"),
        (r"\'Alvarez L\'opez", "Álvarez López"),
        (r"D. Kr\'al'", "D. Král'"),
        (r"J.~Doe and A.\ Roe", "J. Doe and A. Roe"),
        (r"the $\alpha$--group ``X''", r"the $\alpha$--group ``X''"),
        (r"\unknown{x}", r"\unknown{x}"),
        ("Jane Doe", "Jane Doe"),
    ] {
        assert_eq!(name(source), expected, "of {source}");
    }
}

#[test]
fn quotes_dashes_ties_and_signs_are_those_of_print() {
    check(&[
        ("``no hair'' theorem", "“no hair” theorem"),
        ("a `subordinated' operator", "a ‘subordinated’ operator"),
        ("Taylor--Hood --- a note -- here", "Taylor–Hood — a note – here"),
        ("two--photon exchange", "two–photon exchange"),
        (r"5\% of R\&D, a\_b, \#1, \$5, \{x\}", "5% of R&D, a_b, #1, $5, {x}"),
        ("Theorem~4, Fig.~1, $\\sqrt{s}=13$~TeV", "Theorem 4, Fig. 1, √s=13 TeV"),
        ("z~1, SNR~10, of~3 and ~ 3", "z~1, SNR~10, of~3 and ~ 3"),
        (r"et al.\ show, 10\,GeV", "et al. show, 10 GeV"),
        (r"\LaTeX{} and \TeX", "LaTeX and TeX"),
        (r"one \\ two", "one two"),
        (r"\S 3 \dots", "§ 3 …"),
    ]);
}

#[test]
fn text_macros_give_their_text() {
    check(&[
        (r"\emph{C. elegans} and \textit{ab initio}", "C. elegans and ab initio"),
        (r"\textsc{NaVIDA}: Vision", "NaVIDA: Vision"),
        (
            r"{\bf 54}, 2671 and {\em coarse Schottky\nproblem}",
            r"54, 2671 and coarse Schottky\nproblem",
        ),
        (r"\url{https://example.org/a_b~c}", "https://example.org/a_b~c"),
        (r"\href{https://example.org/x}{code}", "code (https://example.org/x)"),
        (
            r"\href{https://example.org/x}{https://example.org/x}",
            "https://example.org/x",
        ),
        (
            r"at \textcolor{blue}{https://example.org/whiteop}.",
            "at https://example.org/whiteop.",
        ),
        (r"LEGO\textsuperscript{\textregistered}~cubes", "LEGO^® cubes"),
        (r"x\textsuperscript{2}, H\textsubscript{2}O", "x², H₂O"),
        (r"\underline{\textit{M}}otion", "Motion"),
        (r"\ion{C}{IV} lines", "C IV lines"),
        (r"model\footnote{Code at x.} here", "model (Code at x.) here"),
        (r"{\Large $\gamma$} induced", "γ induced"),
        (r"{\textit{ab}} spiral", "ab spiral"),
        (r"any \it a priori \rm assumption", "any a priori assumption"),
    ]);
    check_html(&[
        (r"\emph{C. elegans} neurons", "<em>C. elegans</em> neurons"),
        (r"{\it without} using", "<em>without</em> using"),
        (r"\textit{SeM$^2$}, a", "<em>SeM²</em>, a"),
        (r"\textbf{67},036306", "67,036306"),
    ]);
}

#[test]
fn formulas_become_a_line_of_text() {
    check(&[
        // CASES 70.
        (
            r"$L^2$ bounds for $\mathcal{O}(n \log n)$ at $\sqrt{s}=13$~TeV and 5\% error",
            "L² bounds for 𝒪(n log n) at √s=13 TeV and 5% error",
        ),
        (r"$\mathcal{O}(n^2)$", "𝒪(n²)"),
        (r"$O(n^{2/3})$", "O(n^(2/3))"),
        (r"$n\log n$ and $\log_2 n$", "n log n and log₂ n"),
        (r"$\ell_{\infty}$ Implicit Biases", "ℓ_∞ Implicit Biases"),
        ("S$^3$POT: Contrast", "S³POT: Contrast"),
        ("Neutron strengths of $2^+_1$ states", "Neutron strengths of 2⁺₁ states"),
        (
            r"mesons $f_0(980)$ into $\rho(\omega) \gamma$",
            "mesons f₀(980) into ρ(ω) γ",
        ),
        ("PrFeAsO$_{1-y}$", "PrFeAsO_(1−y)"),
        (r"$\rm\bf LaO_{1-x}F_xFeAs$", "LaO₁₋ₓFₓFeAs"),
        (r"$\mathit{2^{128}}$", "2¹²⁸"),
        (r"The $K^-p\to \Sigma^0\pi^0$ reaction", "The K⁻p → Σ⁰π⁰ reaction"),
        (r"$Q^\star$-Approximation", "Q^⋆-Approximation"),
        (r"$^{6}$Li+$^{58,64}$Ni", "⁶Li+^(58,64)Ni"),
        (
            r"$p \bar{p}$ Collisions at $\sqrt{s} = 1.96$ TeV",
            "p p̄ Collisions at √s = 1.96 TeV",
        ),
        (r"$Cd_{0.5}Cu_{0.5}Cr_2O_4$", "Cd_(0.5)Cu_(0.5)Cr₂O₄"),
        (r"RLV$^\varepsilon$R", "RLV^εR"),
        (
            r"electron--$^4He$ and $e^++e^-\to \pi^++\pi^-.$",
            "electron–⁴He and e⁺+e⁻ → π⁺+π⁻.",
        ),
        (r"$\vec{\Omega}\times \vec{J}$ effect", "Ω⃗ × J⃗ effect"),
        (r"ASR$\rightarrow$LLM", "ASR→LLM"),
        (r"($0.47 \pm 0.09$)", "(0.47 ± 0.09)"),
        (r"3$\times$-4$\times$", "3×-4×"),
        (r"$\Delta \omega/2Dk^2$", "Δω/2Dk²"),
        (r"$2.5^{o} \sim 3^{o}$, $\sim 1^{\circ}$", "2.5^o ∼ 3^o, ∼1°"),
        (r"$O(1/\sqrt{N})$", "O(1/√N)"),
        (r"$p < 10^{-116}$", "p < 10⁻¹¹⁶"),
        (r"$\mathrm{SO}(3) \rightarrow \mathrm{SO}(2)$", "SO(3) → SO(2)"),
        (
            r"$\frac{a}{b}$, $\frac{a+b}{2\pi}$, $x^{\frac{2}{3}}$",
            "a/b, (a+b)/(2π), x^(2/3)",
        ),
        (r"$2\frac{1}{3}$ and $\frac12 mv^2$", "2(1/3) and 1/2 mv²"),
        (r"$\sqrt{a+b}$, $\sqrt[3]{n}$, $\sqrt 2$", "√(a+b), ∛n, √2"),
        (r"$x_{max}$, $T_{\rm eff}$, $k_B$", "x_(max), T_(eff), k_B"),
        (
            r"$x\in\mathbb{R}^n$, $\mathfrak{g}$, $\Bbb Z_p$, ${\cal N}=4$",
            "x ∈ ℝⁿ, 𝔤, ℤₚ, 𝒩=4",
        ),
        (r"$\alpha\leq\beta$ and $a \neq b$", "α ≤ β and a ≠ b"),
        (r"$f(x)=\operatorname{rank}(A)$", "f(x)=rank(A)"),
        (r"$\text{if } x > 0$", "if x > 0"),
        (r"$\left(\frac{1}{2}\right)$", "(1/2)"),
        (r"${n \choose k}$ and ${a \over b}$", "(n choose k) and a/b"),
        (r"$\{x \mid x>0\}$", "{x | x>0}"),
        (r"$f'$ and $f''(x)$", "f′ and f″(x)"),
        (r"$x \not\in A$, $\hat{x}_1$, $\tilde\chi^0_1$", "x ∉ A, x̂₁, χ̃⁰₁"),
        (r"$-1$ and $k-means$, $\alpha-$decay", "−1 and k-means, α-decay"),
        (r"$1{,}000$ and $90.3%$ of $50\%$", "1,000 and 90.3% of 50%"),
        (r"strictly $$\mathcal{O}(L)$$ complexity", "strictly 𝒪(L) complexity"),
        (r"\(x^2\) and \[ y_1 \]", "x² and y₁"),
        (r"$a$$b$", "ab"),
        (r"$\sum_{i=1}^n x_i$", "∑ᵢ₌₁ⁿ xᵢ"),
        (r"$\lim_{x\to 0} f$", "lim_(x→0) f"),
        (r"$a \pmod{p}$", "a (mod p)"),
        (r"dimension$\le 4$", "dimension≤4"),
        (r"$\overline{\mathbb{Q}}$", "ℚ̅"),
        (r"$10\,\mathrm{GeV}$", "10 GeV"),
        (r"$\langle x,y\rangle$ and $\|x\|_2$", "⟨x,y⟩ and ‖x‖₂"),
        (r"$\unicode{x2014}$", "—"),
    ]);
    check_html(&[
        (r"$O(n^{2/3})$", "O(n<sup>2/3</sup>)"),
        (r"$x_{max}^{a+b}$", "x<sub>max</sub><sup>a+b</sup>"),
        (r"$e^{-x_{max}}$", "e<sup>−x_(max)</sup>"),
        (r"$k(<N)$ & \emph{a<b}", "k(&lt;N) &amp; <em>a&lt;b</em>"),
        (r#""it's""#, "&quot;it&#39;s&quot;"),
    ]);
}

#[test]
fn a_formula_with_anything_unknown_stays_whole() {
    for source in [
        r"under $\PGL_n$ here",
        r"mappings $\J^\be$ and",
        r"$\alpha + \begin{array}{c} a \end{array}$",
        r"$x^{2$ and more",
        r"$\frac{a}$",
        r"$x^$",
        r"$\alpha \text{and \unknown{} words}$",
        r"\(\alpha\foo\)",
        r"$$\int \dee x$$",
    ] {
        check(&[(source, source)]);
    }
    check_html(&[(r"under $\PGL_n<$ here", r"under <code>$\PGL_n&lt;$</code> here")]);
}

#[test]
fn money_and_stray_dollar_signs_stay() {
    for source in [
        "costs $5 to $10 per paper",
        "from $5, or $10, on",
        "between $5-$10",
        "US$5 million and US$6 million",
        "the $x of it",
        "at $5",
        "a $ b",
        "a $$ b",
        "$",
    ] {
        check(&[(source, source)]);
    }
    check(&[
        (r"it costs $5 and $x^2$", "it costs $5 and x²"),
        ("$5$ and $10$ GeV", "5 and 10 GeV"),
    ]);
}

#[test]
fn symbols_without_dollar_signs_are_read_where_they_stand_alone() {
    check(&[
        (r"Wavefunctions for \nu = 1/2", "Wavefunctions for ν = 1/2"),
        (r"the \zeta Series", "the ζ Series"),
        (r"N \times M Table", "N × M Table"),
        (r"ranges from 2 \times 10^{-8} up", "ranges from 2 × 10⁻⁸ up"),
        (r"at \sqrt{s}=1.96 TeV", "at √s=1.96 TeV"),
        (r"Lie algebra so(\infty)", "Lie algebra so(∞)"),
        (r"Clifford algebra Cl_{3,0}", "Clifford algebra Cl_(3,0)"),
        (r"J^{PC} = 1^{--} states", "J^(PC) = 1⁻⁻ states"),
        (r"g_{a\foo} 1^{--\bar} x", r"g_{a\foo} 1^{--\bar} x"),
        (r"at \sqrt s_NN = 22.4", r"at \sqrt s_NN = 22.4"),
    ]);
}

#[test]
fn runs_tile_the_text_and_point_at_their_source() {
    let source = r#"On K\"ahler and $\textbf{R}einforcement$ by \emph{all}"#;
    let runs = read(source);
    let parts: Vec<_> = runs
        .iter()
        .map(|run| (run.text.as_str(), &source[run.source.clone()]))
        .collect();
    assert_eq!(
        parts,
        [
            ("On K", "On K"),
            ("ä", r#"\"a"#),
            ("hler and ", "hler and "),
            ("R", "R"),
            ("einforcement", "einforcement"),
            (" by ", " by "),
            ("all", "all"),
        ]
    );
    let texts = |source| read(source).into_iter().map(|run| run.text).collect::<Vec<_>>();
    assert_eq!(texts(r"\textbf{R}einforcement"), ["R", "einforcement"]);
}

#[test]
fn marks_are_placed_by_source_and_always_well_nested() {
    let check = |source: &str, marked: &[&str], expected: &str| {
        let marks: Vec<_> = marked
            .iter()
            .map(|part| {
                let start = source.find(part).expect("the marked part stands in the source");
                start..start + part.len()
            })
            .collect();
        assert_eq!(to_html(source, &marks, MARK_TAGS), expected, "of {source}");
    };
    check("a neural net", &["neural"], "a <mark>neural</mark> net");
    check("ab", &["a", "b"], "<mark>a</mark><mark>b</mark>");
    check(r#"On K\"ahler sets"#, &[r#"K\"ahler"#], "On <mark>Kähler</mark> sets");
    check(r#"K\"ahler"#, &[r#""a"#], "K<mark>ä</mark>hler");
    check(
        r"\emph{deep net} works",
        &[r"net} works"],
        "<em>deep <mark>net</mark></em><mark> works</mark>",
    );
    check(r"$x_{max}y$", &[r"x_{ma"], "<mark>x</mark><sub><mark>max</mark></sub>y");
    check(r"$\textbf{R}einforce$", &[r"R}einforce"], "<mark>Reinforce</mark>");
    check("a < b", &["<"], "a <mark>&lt;</mark> b");
    check(r"$\foo x$", &["x"], r"<code>$\foo <mark>x</mark>$</code>");
    // Marks that do not fit the source do no harm.
    assert_eq!(to_html("aé", &[0..2, 7..99], MARK_TAGS), "<mark>a</mark>é");
}

/// The formulas of a text, found without the reader: what stands between two dollar signs.
fn formulas(text: &str) -> Vec<&str> {
    let mut places = Vec::new();
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if character == '$' && !escaped {
            places.push(at);
        }
        escaped = character == '\\' && !escaped;
    }
    let mut found = Vec::new();
    let mut index = 0;
    while let (Some(open), Some(next)) = (places.get(index), places.get(index + 1)) {
        if next - open == 1 {
            let Some(close) = (index + 2..places.len().saturating_sub(1)).find(|at| places[at + 1] - places[*at] == 1)
            else {
                break;
            };
            found.push(&text[*open..=places[close + 1]]);
            index = close + 2;
        } else {
            found.push(&text[*open..=*next]);
            index += 2;
        }
    }
    found
}

/// Whether nothing of a formula's TeX is left in what came of it.
fn is_fully_converted(formula: &str) -> bool {
    let runs = read(formula);
    let text: String = runs.iter().map(|run| run.text.as_str()).collect();
    let literal = |sign: char| formula.matches(&format!("\\{sign}")).count();
    let left = |sign: char| text.matches(sign).count();
    runs.iter().all(|run| run.style != Style::Tex)
        && left('\\') <= formula.matches("\\backslash").count() + formula.matches("\\setminus").count()
        && ['{', '}', '$'].into_iter().all(|sign| left(sign) <= literal(sign))
        // A script within a script is marked in the TeX manner, in a run that is a script.
        && ['^', '_'].into_iter().all(|sign| {
            let outside: usize = runs.iter().filter(|run| run.style == Style::Plain).map(|run| run.text.matches(sign).count()).sum();
            outside <= literal(sign)
        })
}

#[test]
fn the_corpus_is_converted_and_never_by_half() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/arxiv/corpus.jsonl");
    let Ok(corpus) = std::fs::read_to_string(path) else {
        println!("skipped: ../shared is absent");
        return;
    };
    let (mut sources, mut all, mut converted) = (0, 0, 0);
    for line in corpus.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        for author in record["authors"].as_array().unwrap() {
            let author = author.as_str().unwrap();
            assert!(!name(author).contains('\\'), "{author}");
        }
        for field in ["title", "abstract"] {
            let source = record[field].as_str().unwrap();
            let runs = read(source);
            let mut end = 0;
            for run in &runs {
                assert!(
                    run.source.start >= end && run.source.start <= run.source.end,
                    "{source}: {run:?}"
                );
                end = run.source.end;
                assert!(!run.text.is_empty());
                // A backslash that is left was left with its macro, letter by letter.
                if run.text.contains('\\') {
                    assert_eq!(run.text, source[run.source.clone()], "half converted");
                }
            }
            let html = to_html(source, &[], MARK_TAGS);
            assert_well_nested(&html);
            if !source.contains(['\\', '$']) {
                continue;
            }
            sources += 1;
            for formula in formulas(source) {
                all += 1;
                if is_fully_converted(formula) {
                    converted += 1;
                }
            }
        }
    }
    println!("{converted} of {all} formulas converted, in {sources} titles and abstracts");
    assert!(sources > 1_300 && all > 3_000);
    assert!(converted * 100 >= all * 97, "{converted} of {all} formulas converted");
}

#[test]
fn hostile_input_of_any_size_is_read_to_its_end() {
    for part in [
        "$",
        "{",
        "}",
        "\\",
        "^{",
        "_{",
        "$x^{",
        "\\emph{",
        "``",
        "`a",
        "\\'{",
        "\\'{a",
        "{\\em ",
        "{\\'e",
        "$$",
        "$$a",
        "\\(",
        "\\[",
        "\\frac{",
        "\\sqrt[",
        "$a\\over ",
        "\\href{a}{",
        "~",
        "--",
        "\\text{$",
        "\\footnote{",
        "\\sqrt",
        "\\alpha",
        "a_{\\foo",
        "\\ ",
        "\\c ",
        "   \\aa",
    ] {
        for size in [10_000, 100_000] {
            let source = part.repeat(size / part.len());
            let text = to_text(&source);
            assert!(text.len() <= 2 * source.len() + 100, "{part}");
            to_html(
                &source,
                &[0..source.len() / 2, source.len() / 2..source.len()],
                MARK_TAGS,
            );
            name(&source);
            let formula = format!("${source}$");
            to_text(&formula);
        }
    }
    let long = r"\'e".repeat(SOURCE_BYTES_MAX);
    assert_eq!(to_text(&long), long);
}

/// Walks the elements of HTML that came from here: each end tag closes the last one opened.
fn assert_well_nested(html: &str) {
    let mut open = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find(['<', '>']) {
        let tag = &rest[at..];
        let end = tag.find('>').expect("a tag ends");
        match &tag[1..end] {
            start @ ("sup" | "sub" | "em" | "code" | "mark") => open.push(start),
            other => {
                let closed = other.strip_prefix('/').expect("only known tags are written");
                assert_eq!(open.pop(), Some(closed), "of {html}");
            }
        }
        rest = &tag[end + 1..];
    }
    assert!(open.is_empty(), "unclosed in {html}");
}

/// Strings that are rich in what the reader looks at.
fn tex_like() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-zA-Z0-9 ]{1,4}",
        "[\\\\${}^_~`'<>&\"\\-]",
        prop::sample::select(vec![
            "\\emph{",
            "\\frac{",
            "\\'e",
            "\\\"{o}",
            "\\alpha",
            "\\mathbb{",
            "\\(",
            "\\)",
            "$$",
            "\\text{",
            "\\sqrt[3]{",
            "\\over",
            "é",
            "\u{301}",
            "\\unknown",
            "\\href{a}{",
            "\\left.",
            "\\hat",
            "\\log",
            "\n\n",
            "ß",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

/// A hundred thousand texts of a few pieces each, now and then with any character in between: the same in every run.
pub(crate) fn random_texts(pieces: &[&str]) -> impl Iterator<Item = String> {
    const N_TEXTS: usize = 100_000;
    const PIECES_MAX: u64 = 14;
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    // xorshift64*, by Marsaglia and Vigna.
    let mut roll = move |n: u64| {
        chance ^= chance >> 12;
        chance ^= chance << 25;
        chance ^= chance >> 27;
        (chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % n
    };
    (0..N_TEXTS).map(move |_| {
        let mut text = String::new();
        for _ in 0..roll(PIECES_MAX) {
            if roll(5) == 0 {
                text.extend(char::from_u32(roll(0x11_0000) as u32));
            } else {
                text.push_str(pieces[roll(pieces.len() as u64) as usize]);
            }
        }
        text
    })
}

#[test]
fn a_hundred_thousand_random_texts_are_read_without_panic() {
    const PIECES: [&str; 44] = [
        "\\",
        "$",
        "$$",
        "{",
        "}",
        "^",
        "_",
        "^{",
        "_{",
        "~",
        "`",
        "``",
        "'",
        "''",
        "-",
        "--",
        "<",
        ">",
        "&",
        "\"",
        " ",
        "\n",
        "a",
        "Ab ",
        "7",
        "\\emph{",
        "\\frac{",
        "\\'e",
        "\\\"{o}",
        "\\alpha",
        "\\mathbb{",
        "\\(",
        "\\)",
        "\\text{",
        "\\sqrt[3]{",
        "\\over",
        "é",
        "\u{301}",
        "\\unknown",
        "\\href{a}{",
        "\\left.",
        "\\hat",
        "\\log",
        "ß",
    ];
    for source in random_texts(&PIECES) {
        to_text(&source);
        name(&source);
        assert_well_nested(&to_html(&source, &[], MARK_TAGS));
    }
}

proptest! {
    #[test]
    fn runs_of_anything_stay_in_order(source in tex_like()) {
        let mut end = 0;
        for run in read(&source) {
            prop_assert!(run.source.start >= end && run.source.end >= run.source.start);
            prop_assert!(source.get(run.source.clone()).is_some());
            end = run.source.end;
        }
    }

    #[test]
    fn html_of_anything_is_well_nested(source in tex_like(), cuts in prop::collection::btree_set(0_usize..120, 0..8)) {
        let cuts: Vec<_> = cuts.into_iter().collect();
        let marks: Vec<_> = cuts.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
        assert_well_nested(&to_html(&source, &marks, MARK_TAGS));
    }

    #[test]
    fn plain_words_come_back_as_they_were(words in prop::collection::vec("[A-Za-z0-9.,;:!?()+*/=-]{1,9}", 1..12)) {
        let source = words.join(" ").replace("--", "-");
        prop_assert_eq!(to_text(&source), source.clone());
    }
}
