//! What TeX's names stand for in Unicode: symbols, operator names, alphabets and script glyphs.

/// How a symbol is spaced in a formula that is set as a line of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spacing {
    /// Stands next to its neighbours: letters, brackets, big operators.
    Close,
    /// A blank on either side: relations, arrows and binary operators.
    Spaced,
    /// A word, kept apart from letters and digits: `log`, `max`.
    Word,
}

/// An alphabet that a macro such as `\mathbb` or `\cal` selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// Letters as they are; bold, upright and italic say nothing that a line of text could show.
    Ordinary,
    /// Double struck: ℝ.
    Blackboard,
    /// Script: 𝒪.
    Script,
    /// Fraktur: 𝔤.
    Fraktur,
}

/// More letters than this in one script and it is not set in glyphs: few fonts carry them and `ₘₐₓ` reads badly.
const SCRIPT_GLYPH_LETTERS_MAX: usize = 2;

/// The symbol or operator name of a macro, without its backslash.
pub(super) fn symbol(name: &str) -> Option<(&'static str, Spacing)> {
    look_up(CLOSE, name)
        .map(|text| (text, Spacing::Close))
        .or_else(|| look_up(SPACED, name).map(|text| (text, Spacing::Spaced)))
        .or_else(|| look_up(WORDS, name).map(|text| (text, Spacing::Word)))
}

/// What a macro without argument stands for in running text, besides the accented letters.
pub(super) fn text_symbol(name: &str) -> Option<&'static str> {
    Some(match name {
        "LaTeX" => "LaTeX",
        "TeX" => "TeX",
        "BibTeX" => "BibTeX",
        "dots" | "ldots" => "…",
        "S" | "P" | "dag" | "ddag" | "copyright" | "pounds" | "degree" | "euro" | "lq" | "rq" => {
            return look_up(CLOSE, name);
        }
        name if name.starts_with("text") => return look_up(CLOSE, name),
        _ => return None,
    })
}

/// The letter that a macro such as `\o` or `\ss` stands for.
pub(super) fn letter(name: &str) -> Option<&'static str> {
    match name {
        "AA" | "aa" | "AE" | "ae" | "OE" | "oe" | "O" | "o" | "L" | "l" | "ss" | "i" | "j" => look_up(CLOSE, name),
        "SS" => Some("ẞ"),
        "DJ" => Some("Đ"),
        "dj" => Some("đ"),
        "DH" => Some("Ð"),
        "dh" => Some("ð"),
        "TH" => Some("Þ"),
        "th" => Some("þ"),
        "NG" => Some("Ŋ"),
        "ng" => Some("ŋ"),
        _ => None,
    }
}

/// The letter in the alphabet; what the alphabet does not hold stays as it is.
pub(super) fn in_alphabet(letter: char, alphabet: Alphabet) -> char {
    // Unicode had some of these letters before it got the alphabets, and left holes for them.
    let (exceptions, upper, lower, digit): (&[(char, char)], u32, u32, Option<u32>) = match alphabet {
        Alphabet::Ordinary => return letter,
        Alphabet::Blackboard => (
            &[
                ('C', 'ℂ'),
                ('H', 'ℍ'),
                ('N', 'ℕ'),
                ('P', 'ℙ'),
                ('Q', 'ℚ'),
                ('R', 'ℝ'),
                ('Z', 'ℤ'),
            ],
            0x1D538,
            0x1D552,
            Some(0x1D7D8),
        ),
        Alphabet::Script => (
            &[
                ('B', 'ℬ'),
                ('E', 'ℰ'),
                ('F', 'ℱ'),
                ('H', 'ℋ'),
                ('I', 'ℐ'),
                ('L', 'ℒ'),
                ('M', 'ℳ'),
                ('R', 'ℛ'),
                ('e', 'ℯ'),
                ('g', 'ℊ'),
                ('o', 'ℴ'),
            ],
            0x1D49C,
            0x1D4B6,
            None,
        ),
        Alphabet::Fraktur => (
            &[('C', 'ℭ'), ('H', 'ℌ'), ('I', 'ℑ'), ('R', 'ℜ'), ('Z', 'ℨ')],
            0x1D504,
            0x1D51E,
            None,
        ),
    };
    if let Some((_, glyph)) = exceptions.iter().find(|(from, _)| *from == letter) {
        return *glyph;
    }
    let code = match letter {
        'A'..='Z' => Some(upper + (u32::from(letter) - u32::from('A'))),
        'a'..='z' => Some(lower + (u32::from(letter) - u32::from('a'))),
        '0'..='9' => digit.map(|zero| zero + (u32::from(letter) - u32::from('0'))),
        _ => None,
    };
    code.and_then(char::from_u32).unwrap_or(letter)
}

/// The script in raised glyphs, if every one of its characters has one.
pub(super) fn raised(script: &str) -> Option<String> {
    in_glyphs(script, |plain| {
        Some(match plain {
            '0' => '⁰',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            '4'..='9' => char::from_u32(0x2074 + (u32::from(plain) - u32::from('4')))?,
            '+' => '⁺',
            '-' | '−' => '⁻',
            '=' => '⁼',
            '(' => '⁽',
            ')' => '⁾',
            'i' => 'ⁱ',
            'n' => 'ⁿ',
            _ => return None,
        })
    })
}

/// The script in lowered glyphs, if every one of its characters has one.
pub(super) fn lowered(script: &str) -> Option<String> {
    in_glyphs(script, |plain| {
        Some(match plain {
            '0'..='9' => char::from_u32(0x2080 + (u32::from(plain) - u32::from('0')))?,
            '+' => '₊',
            '-' | '−' => '₋',
            '=' => '₌',
            '(' => '₍',
            ')' => '₎',
            'a' => 'ₐ',
            'e' => 'ₑ',
            'h' => 'ₕ',
            'i' => 'ᵢ',
            'j' => 'ⱼ',
            'k' => 'ₖ',
            'l' => 'ₗ',
            'm' => 'ₘ',
            'n' => 'ₙ',
            'o' => 'ₒ',
            'p' => 'ₚ',
            'r' => 'ᵣ',
            's' => 'ₛ',
            't' => 'ₜ',
            'u' => 'ᵤ',
            'v' => 'ᵥ',
            'x' => 'ₓ',
            _ => return None,
        })
    })
}

fn in_glyphs(script: &str, glyph: impl Fn(char) -> Option<char>) -> Option<String> {
    let letters = script.chars().filter(|character| character.is_alphabetic()).count();
    if letters > SCRIPT_GLYPH_LETTERS_MAX {
        return None;
    }
    script.chars().map(glyph).collect()
}

fn look_up(table: &'static [(&'static str, &'static str)], name: &str) -> Option<&'static str> {
    let index = table.binary_search_by(|(entry, _)| (*entry).cmp(name)).ok()?;
    table.get(index).map(|(_, text)| *text)
}

// Each table is sorted by name, as `look_up` needs it; a test watches over that.

#[rustfmt::skip]
static CLOSE: &[(&str, &str)] = &[
    ("AA", "Å"), ("AE", "Æ"), ("Bbbk", "𝕜"), ("Box", "□"), ("C", "ℂ"), ("CC", "ℂ"), ("Complex", "ℂ"), ("Delta", "Δ"),
    ("Diamond", "◇"), ("Downarrow", "⇓"), ("Gamma", "Γ"), ("Im", "ℑ"), ("L", "Ł"), ("Lambda", "Λ"), ("N", "ℕ"),
    ("NN", "ℕ"), ("O", "Ø"), ("OE", "Œ"), ("Omega", "Ω"), ("P", "¶"), ("Phi", "Φ"), ("Pi", "Π"), ("Psi", "Ψ"),
    ("Q", "ℚ"), ("QQ", "ℚ"), ("R", "ℝ"), ("RR", "ℝ"), ("Re", "ℜ"), ("Real", "ℝ"), ("Reals", "ℝ"), ("S", "§"),
    ("Sigma", "Σ"), ("Theta", "Θ"), ("Uparrow", "⇑"), ("Updownarrow", "⇕"), ("Upsilon", "Υ"), ("Vert", "‖"),
    ("Xi", "Ξ"), ("Z", "ℤ"), ("ZZ", "ℤ"), ("aa", "å"), ("ae", "æ"), ("aleph", "ℵ"), ("alpha", "α"), ("angle", "∠"),
    ("arcmin", "′"), ("arcsec", "″"), ("ast", "∗"), ("backprime", "‵"), ("backslash", "\\"), ("beta", "β"),
    ("beth", "ℶ"), ("bigcap", "⋂"), ("bigcirc", "◯"), ("bigcup", "⋃"), ("bigodot", "⨀"), ("bigoplus", "⨁"),
    ("bigotimes", "⨂"), ("bigsqcup", "⨆"), ("bigstar", "★"), ("biguplus", "⨄"), ("bigvee", "⋁"), ("bigwedge", "⋀"),
    ("blacksquare", "■"), ("bot", "⊥"), ("bullet", "•"), ("cdots", "⋯"), ("checkmark", "✓"), ("chi", "χ"),
    ("clubsuit", "♣"), ("complement", "∁"), ("coprod", "∐"), ("copyright", "©"),
    ("dag", "†"), ("dagger", "†"), ("ddag", "‡"), ("ddagger", "‡"), ("ddots", "⋱"), ("degr", "°"), ("degree", "°"),
    ("delta", "δ"), ("diamond", "⋄"), ("diamondsuit", "♢"), ("digamma", "ϝ"), ("dots", "…"), ("dotsb", "⋯"),
    ("dotsc", "…"), ("dotsm", "⋯"), ("dotso", "…"), ("downarrow", "↓"), ("ell", "ℓ"), ("emptyset", "∅"), ("eps", "ε"),
    ("epsilon", "ϵ"), ("eta", "η"), ("eth", "ð"), ("euro", "€"), ("exists", "∃"), ("flat", "♭"), ("forall", "∀"),
    ("gamma", "γ"), ("hbar", "ℏ"), ("heartsuit", "♡"), ("hslash", "ℏ"), ("i", "ı"), ("iiint", "∭"), ("iint", "∬"),
    ("imath", "ı"), ("infty", "∞"), ("int", "∫"), ("iota", "ι"), ("j", "ȷ"), ("jmath", "ȷ"), ("kappa", "κ"),
    ("l", "ł"), ("lVert", "‖"), ("lambda", "λ"), ("langle", "⟨"), ("lbrace", "{"), ("lbrack", "["), ("lceil", "⌈"),
    ("ldots", "…"), ("lfloor", "⌊"), ("lhd", "⊲"), ("llbracket", "⟦"), ("lnot", "¬"), ("lozenge", "◊"), ("lq", "‘"),
    ("lvert", "|"), ("measuredangle", "∡"), ("mho", "℧"), ("micron", "μm"), ("mu", "μ"), ("nabla", "∇"),
    ("natnums", "ℕ"), ("natural", "♮"), ("naturals", "ℕ"), ("neg", "¬"), ("nexists", "∄"), ("nu", "ν"), ("o", "ø"),
    ("odot", "⊙"), ("oe", "œ"), ("oint", "∮"), ("omega", "ω"), ("omicron", "ο"), ("partial", "∂"), ("phi", "ϕ"),
    ("pi", "π"), ("pounds", "£"), ("prime", "′"), ("prod", "∏"), ("psi", "ψ"), ("rVert", "‖"), ("rangle", "⟩"),
    ("rbrace", "}"), ("rbrack", "]"), ("rceil", "⌉"), ("reals", "ℝ"), ("rfloor", "⌋"), ("rhd", "⊳"), ("rho", "ρ"),
    ("rq", "’"), ("rrbracket", "⟧"), ("rvert", "|"), ("sharp", "♯"), ("sigma", "σ"), ("slash", "/"),
    ("spadesuit", "♠"), ("square", "□"), ("ss", "ß"), ("star", "⋆"), ("sum", "∑"), ("sun", "☉"), ("surd", "√"),
    ("tau", "τ"), ("textasciicircum", "^"), ("textasciitilde", "~"), ("textbackslash", "\\"), ("textbar", "|"),
    ("textbraceleft", "{"), ("textbraceright", "}"), ("textbullet", "•"), ("textdegree", "°"), ("textdollar", "$"),
    ("textellipsis", "…"), ("textemdash", "—"), ("textendash", "–"), ("texteuro", "€"), ("textgreater", ">"),
    ("textless", "<"), ("textmu", "µ"), ("textohm", "Ω"), ("textquotedblleft", "“"), ("textquotedblright", "”"),
    ("textquoteleft", "‘"), ("textquoteright", "’"), ("textregistered", "®"), ("texttimes", "×"),
    ("texttrademark", "™"), ("textunderscore", "_"), ("theta", "θ"), ("top", "⊤"), ("triangle", "△"),
    ("ulcorner", "⌜"), ("uparrow", "↑"), ("updownarrow", "↕"), ("upsilon", "υ"), ("urcorner", "⌝"), ("varDelta", "Δ"),
    ("varGamma", "Γ"), ("varLambda", "Λ"), ("varOmega", "Ω"), ("varPhi", "Φ"), ("varPi", "Π"), ("varPsi", "Ψ"),
    ("varSigma", "Σ"), ("varTheta", "Θ"), ("varXi", "Ξ"), ("varepsilon", "ε"), ("varkappa", "ϰ"), ("varnothing", "∅"),
    ("varphi", "φ"), ("varpi", "ϖ"), ("varrho", "ϱ"), ("varsigma", "ς"), ("vartheta", "ϑ"), ("vdots", "⋮"),
    ("vert", "|"), ("wp", "℘"), ("xi", "ξ"), ("zeta", "ζ"),
];

#[rustfmt::skip]
static SPACED: &[(&str, &str)] = &[
    ("Cap", "⋒"), ("Cup", "⋓"), ("Join", "⋈"), ("Leftarrow", "⇐"), ("Leftrightarrow", "⇔"), ("Longleftarrow", "⟸"),
    ("Longleftrightarrow", "⟺"), ("Longrightarrow", "⟹"), ("Rightarrow", "⇒"), ("Subset", "⋐"), ("Supset", "⋑"),
    ("Vdash", "⊩"), ("amalg", "⨿"), ("approx", "≈"), ("approxeq", "≊"), ("asymp", "≍"), ("because", "∵"),
    ("bigtriangleup", "△"), ("bmod", "mod"), ("bowtie", "⋈"), ("boxplus", "⊞"), ("boxtimes", "⊠"), ("cap", "∩"),
    ("cdot", "·"), ("centerdot", "·"), ("circ", "∘"), ("coloneqq", "≔"), ("cong", "≅"), ("cup", "∪"), ("curlyvee", "⋎"),
    ("curlywedge", "⋏"), ("dashrightarrow", "⇢"), ("dashv", "⊣"), ("div", "÷"), ("divideontimes", "⋇"),
    ("doteq", "≐"), ("dotplus", "∔"), ("equiv", "≡"), ("frown", "⌢"), ("ge", "≥"), ("geq", "≥"), ("geqq", "≧"),
    ("geqslant", "⩾"), ("gets", "←"), ("gg", "≫"), ("ggg", "⋙"), ("gneq", "⪈"), ("gtrapprox", "⪆"), ("gtrless", "≷"),
    ("gtrsim", "≳"), ("hookleftarrow", "↩"), ("hookrightarrow", "↪"), ("iff", "⟺"), ("impliedby", "⟸"),
    ("implies", "⟹"), ("in", "∈"), ("land", "∧"), ("le", "≤"), ("leadsto", "⇝"), ("leftarrow", "←"),
    ("leftarrowtail", "↢"), ("leftharpoondown", "↽"), ("leftharpoonup", "↼"), ("leftrightarrow", "↔"),
    ("leftrightarrows", "⇆"), ("leftrightharpoons", "⇋"), ("leq", "≤"), ("leqq", "≦"), ("leqslant", "⩽"),
    ("lessapprox", "⪅"), ("lessgtr", "≶"), ("lesssim", "≲"), ("ll", "≪"), ("lll", "⋘"), ("lneq", "⪇"),
    ("longleftarrow", "⟵"), ("longleftrightarrow", "⟷"), ("longmapsto", "⟼"), ("longrightarrow", "⟶"), ("lor", "∨"),
    ("ltimes", "⋉"), ("ltri", "◁"), ("mapsto", "↦"), ("mid", "|"), ("models", "⊨"), ("mp", "∓"), ("multimap", "⊸"),
    ("ncong", "≇"), ("ne", "≠"), ("nearrow", "↗"), ("neq", "≠"), ("ngeq", "≱"), ("ngtr", "≯"), ("ni", "∋"),
    ("nleftarrow", "↚"), ("nleq", "≰"), ("nless", "≮"), ("nmid", "∤"), ("notin", "∉"), ("nparallel", "∦"),
    ("nrightarrow", "↛"), ("nsim", "≁"), ("nsubseteq", "⊈"), ("nsupseteq", "⊉"), ("nvdash", "⊬"), ("nwarrow", "↖"),
    ("ominus", "⊖"), ("oplus", "⊕"), ("oslash", "⊘"), ("otimes", "⊗"), ("parallel", "∥"), ("perp", "⊥"), ("pm", "±"),
    ("prec", "≺"), ("preccurlyeq", "≼"), ("preceq", "⪯"), ("precsim", "≾"), ("propto", "∝"), ("rightarrow", "→"),
    ("rightarrowtail", "↣"), ("rightharpoondown", "⇁"), ("rightharpoonup", "⇀"), ("rightleftarrows", "⇄"),
    ("rightleftharpoons", "⇌"), ("rightrightarrows", "⇉"), ("rightsquigarrow", "⇝"), ("rtimes", "⋊"),
    ("searrow", "↘"), ("setminus", "∖"), ("sim", "∼"), ("simeq", "≃"), ("smallsetminus", "∖"), ("smile", "⌣"),
    ("sqcap", "⊓"), ("sqcup", "⊔"), ("sqsubset", "⊏"), ("sqsubseteq", "⊑"), ("sqsupset", "⊐"), ("sqsupseteq", "⊒"),
    ("subset", "⊂"), ("subseteq", "⊆"), ("subsetneq", "⊊"), ("succ", "≻"), ("succcurlyeq", "≽"), ("succeq", "⪰"),
    ("succsim", "≿"), ("supset", "⊃"), ("supseteq", "⊇"), ("supsetneq", "⊋"), ("swarrow", "↙"), ("therefore", "∴"),
    ("thickapprox", "≈"), ("thicksim", "∼"), ("times", "×"), ("to", "→"), ("triangleleft", "◁"),
    ("trianglelefteq", "⊴"), ("triangleq", "≜"), ("triangleright", "▷"), ("trianglerighteq", "⊵"),
    ("twoheadleftarrow", "↞"), ("twoheadrightarrow", "↠"), ("uplus", "⊎"), ("upuparrows", "⇈"), ("vDash", "⊨"),
    ("varpropto", "∝"), ("vartriangleleft", "⊲"), ("vartriangleright", "⊳"), ("vdash", "⊢"), ("vee", "∨"),
    ("wedge", "∧"), ("wr", "≀"),
];

#[rustfmt::skip]
static WORDS: &[(&str, &str)] = &[
    ("Pr", "Pr"), ("arccos", "arccos"), ("arcsin", "arcsin"), ("arctan", "arctan"), ("arg", "arg"),
    ("argmax", "arg max"), ("argmin", "arg min"), ("cos", "cos"), ("cosh", "cosh"), ("cot", "cot"), ("coth", "coth"),
    ("csc", "csc"), ("deg", "deg"), ("det", "det"), ("dim", "dim"), ("exp", "exp"), ("gcd", "gcd"), ("hom", "hom"),
    ("inf", "inf"), ("injlim", "inj lim"), ("ker", "ker"), ("lg", "lg"), ("lim", "lim"), ("liminf", "lim inf"),
    ("limsup", "lim sup"), ("ln", "ln"), ("log", "log"), ("max", "max"), ("min", "min"), ("projlim", "proj lim"),
    ("sec", "sec"), ("sin", "sin"), ("sinh", "sinh"), ("sup", "sup"), ("tan", "tan"), ("tanh", "tanh"),
    ("varinjlim", "inj lim"), ("varprojlim", "proj lim"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_name_each_macro_once() {
        for table in [CLOSE, SPACED, WORDS] {
            for pair in table.windows(2) {
                assert!(pair[0].0 < pair[1].0, "{} must stand before {}", pair[1].0, pair[0].0);
            }
        }
        for (name, _) in CLOSE.iter().chain(WORDS) {
            assert!(look_up(SPACED, name).is_none(), "{name} stands in two tables");
        }
    }

    #[test]
    fn letters_of_an_alphabet_are_those_that_unicode_names_so() {
        let check = |alphabet, plain: &str, expected: &str| {
            assert_eq!(
                plain
                    .chars()
                    .map(|letter| in_alphabet(letter, alphabet))
                    .collect::<String>(),
                expected
            );
        };
        check(Alphabet::Blackboard, "ARZa1", "𝔸ℝℤ𝕒𝟙");
        check(Alphabet::Script, "AOMez", "𝒜𝒪ℳℯ𝓏");
        check(Alphabet::Fraktur, "gSCx", "𝔤𝔖ℭ𝔵");
        check(Alphabet::Script, "1β", "1β");
        check(Alphabet::Ordinary, "Az", "Az");
    }

    #[test]
    fn a_script_is_set_in_glyphs_only_as_a_whole() {
        assert_eq!(raised("-12").as_deref(), Some("⁻¹²"));
        assert_eq!(raised("2/3"), None);
        assert_eq!(lowered("ij").as_deref(), Some("ᵢⱼ"));
        assert_eq!(lowered("n−1").as_deref(), Some("ₙ₋₁"));
        assert_eq!(lowered("max"), None);
        assert_eq!(lowered("NN"), None);
    }
}
