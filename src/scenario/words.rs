//! Small helpers for sentences: quoting what a user wrote, lists of names, did-you-mean.

/// The longest piece of a user's own text that a message repeats, in characters.
const QUOTED_MAX: usize = 60;

/// A user's text as a message may repeat it: one line, no control characters, not too long.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == QUOTED_MAX {
            out.push('…');
            break;
        }
        if is_unsafe(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a character could move a terminal's cursor or turn the order of what is read.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// [`plain`] between back-ticks, as messages name keys and values.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", plain(text))
}

/// `` `a`, `b` or `c` ``.
pub(crate) fn either<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(quoted).collect();
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// The name that was probably meant, if one is near enough.
pub(crate) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A key can be megabytes long; what lies past its beginning says nothing about a typing error.
    let word = folded(&word.chars().take(QUOTED_MAX).collect::<String>());
    let mut best: Option<(f64, &str)> = None;
    for name in names {
        let near = strsim::jaro_winkler(&word, &folded(name));
        if near >= 0.8 && best.is_none_or(|(so_far, _)| near > so_far) {
            best = Some((near, name));
        }
    }
    best.map(|(_, name)| name)
}

/// Whether two names are one to a person.
pub(crate) fn is_name(word: &str, name: &str) -> bool {
    word.len() <= QUOTED_MAX && folded(word) == folded(name)
}

/// `Max-Users`, `maxUsers` and `max_users` are one name to a person.
fn folded(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A remedy for a wrong name: the near one if there is one, and all allowed if they are few.
pub(crate) fn did_you_mean(word: &str, names: &[&str]) -> String {
    let near = nearest(word, names.iter().copied());
    let all = match names {
        [] => "nothing is allowed here".to_owned(),
        _ if names.len() <= 12 => format!("allowed: {}", either(names.iter().copied())),
        _ => String::new(),
    };
    match (near, all.is_empty()) {
        (Some(near), true) => format!("did you mean {}?", quoted(near)),
        (Some(near), false) => format!("did you mean {}? {all}", quoted(near)),
        (None, true) => format!("{} names are allowed here", names.len()),
        (None, false) => all,
    }
}

/// A kind of node with its article, as it is spoken: an alb, an nlb, a dns, an sqs.
pub(super) fn article(kind: &str) -> String {
    let spelt = matches!(kind, "haproxy" | "nginx" | "nlb" | "rds_proxy" | "sqs");
    let vowel = spelt || kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

/// The first sentence of a description, for one-line lists.
pub(crate) fn first_sentence(text: &str) -> String {
    let line = text.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    match line.find(". ") {
        Some(end) => line[..=end].to_owned(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_name() {
        let names = ["memory", "timeout", "max_users", "name"];
        for (word, meant) in [
            ("memroy", Some("memory")),
            ("Timeout", Some("timeout")),
            ("maxUsers", Some("max_users")),
            ("max-users", Some("max_users")),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), meant, "{word}");
        }
        assert_eq!(nearest(&"m".repeat(5_000_000), names), None);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(plain("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\u{a}b");
        assert_eq!(plain(&"é".repeat(100)).chars().count(), 61);
        assert_eq!(either(["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(first_sentence("One. Two."), "One.");
    }
}
