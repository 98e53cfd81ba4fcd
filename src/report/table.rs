//! One screen that a person understands: what survives, how slow, what breaks first, what it costs.

use super::format::{
    TimeUnit, count, counted, cut, difference, interval, money, seconds, share, time_interval,
};
use super::words::{
    NOT_BILLED, below_design, bottleneck, capital, incident, interrupted, moves, outcome, plural,
    precision, steady, unit,
};
use crate::experiment::result::{
    ClassRow, Counterfactual, DesignResult, Estimate, RunResult, Sensitivity, ThresholdResult,
    Varied, Verdict,
};
use comfy_table::{Cell, CellAlignment, Table, presets};
use std::fmt::Write as _;

/// The result as text of about `width` columns.
pub fn table(result: &RunResult, width: usize, colour: bool) -> String {
    let mut screen =
        Screen { out: String::new(), width, colour, currency: &result.prices.currency };
    // Writing into a String cannot fail.
    let _ = screen.all(result);
    screen.out
}

const GREEN: &str = "\u{1b}[32m";
const RED: &str = "\u{1b}[31m";
const YELLOW: &str = "\u{1b}[33m";
const BOLD: &str = "\u{1b}[1m";

struct Screen<'a> {
    out: String,
    width: usize,
    colour: bool,
    currency: &'a str,
}

impl Screen<'_> {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("{code}{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn heading(&mut self, text: &str) -> std::fmt::Result {
        let text = self.paint(BOLD, text);
        writeln!(self.out, "\n{text}")
    }

    fn all(&mut self, result: &RunResult) -> std::fmt::Result {
        let title = self.paint(BOLD, &result.scenario.name);
        writeln!(
            self.out,
            "{title}: {}, {} replications each, seed {}, era {}, prices {} of {}",
            plural(result.designs.len(), "design"),
            result.replications,
            result.seed,
            result.scenario.era,
            result.prices.name,
            result.prices.date
        )?;
        if !result.scenario.about.is_empty() {
            writeln!(self.out, "{}", cut(&result.scenario.about, self.width))?;
        }
        if let Some(own) = &result.interrupted {
            let text = self.paint(RED, &capital(&interrupted(own)));
            writeln!(self.out, "{text}")?;
        }
        if let Some(own) = &result.precision {
            writeln!(self.out, "{}", wrap(&capital(&precision(own)), self.width, 0))?;
        }
        self.out.push('\n');
        for design in &result.designs {
            self.sentence(design)?;
        }
        self.comparison(result)?;
        self.thresholds(&result.thresholds)?;
        for design in &result.designs {
            self.design(design)?;
        }
        self.not_billed(result)?;
        self.differences(result)?;
        self.sensitivity(result)?;
        self.assumptions(result)
    }

    /// The assumed values that matter most, of each design.
    fn sensitivity(&mut self, result: &RunResult) -> std::fmt::Result {
        if result.sensitivity.is_empty() {
            return Ok(());
        }
        self.heading("Which assumptions matter, each halved and doubled")?;
        for design in &result.designs {
            let own = result.sensitivity.iter().filter(|row| row.design == design.name);
            let (moving, still): (Vec<&Sensitivity>, Vec<&Sensitivity>) =
                own.partition(|row| moves(row));
            for row in moving.iter().take(MATTER) {
                let text = format!("{} = {}", below_design(&row.path), row.value);
                writeln!(
                    self.out,
                    "  {:14} {}",
                    cut(&design.name, 14),
                    cut(&text, self.width - 17)
                )?;
                for side in &row.sides {
                    writeln!(self.out, "  {:14}   ×{}: {}", "", side.factor, varied(side))?;
                }
            }
            let more = [
                (moving.len().saturating_sub(MATTER), "more change something"),
                (still.len(), "change nothing that is shown"),
            ];
            let more = more.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
            let more: Vec<String> = more.collect();
            if !more.is_empty() {
                writeln!(self.out, "  {:14} {}", cut(&design.name, 14), more.join(", "))?;
            }
        }
        Ok(())
    }

    fn not_billed(&mut self, result: &RunResult) -> std::fmt::Result {
        if result.designs.iter().all(|design| design.cost.lines.is_empty()) {
            return Ok(());
        }
        writeln!(self.out, "\n{}", wrap(NOT_BILLED, self.width, 0))
    }

    /// The verdict on a design in a sentence.
    fn sentence(&mut self, design: &DesignResult) -> std::fmt::Result {
        let (good, text) = outcome(design);
        let code = if good { GREEN } else { RED };
        let name = self.paint(code, &design.name);
        let first = design
            .bottleneck
            .as_ref()
            .map_or(String::new(), |limit| format!("; bottleneck: {}", bottleneck(limit)));
        let line = wrap(
            &format!("{text}{first}"),
            self.width.saturating_sub(design.name.chars().count() + 2),
            4,
        );
        writeln!(self.out, "{name}: {line}")
    }

    fn comparison(&mut self, result: &RunResult) -> std::fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        let head =
            ["design", "success", "p50", "p95", "p99", "mean", "ok/s", "cost/user", "bottleneck"];
        table.set_header(head.map(Cell::new));
        for design in &result.designs {
            let served = design.latency.count > 0;
            let time = |e: &Estimate| if served { seconds(e.value) } else { "–".into() };
            let first = design.bottleneck.as_ref();
            let row = [
                cut(&design.name, 20),
                interval(&design.success_rate, share),
                time(&design.latency.p50),
                time(&design.latency.p95),
                time(&design.latency.p99),
                time(&design.latency.mean),
                count(design.throughput.value),
                if served {
                    money(design.cost.per_user.value, self.currency)
                } else {
                    "–".into()
                },
                first.map_or("–".into(), |limit| format!("{} {}", limit.node, limit.limit)),
            ];
            let cells = row.into_iter().enumerate().map(|(i, text)| {
                let side =
                    if i == 0 || i == 8 { CellAlignment::Left } else { CellAlignment::Right };
                Cell::new(text).set_alignment(side)
            });
            table.add_row(cells);
            for row in design.by_class() {
                table.add_row(class_cells(row));
            }
        }
        writeln!(self.out, "\n{table}")
    }

    fn thresholds(&mut self, rows: &[ThresholdResult]) -> std::fmt::Result {
        if rows.is_empty() {
            return Ok(());
        }
        self.heading("Thresholds")?;
        let wide = rows.iter().map(|row| row.design.chars().count()).max().unwrap_or(0).min(24);
        let text = |row: &ThresholdResult| format!("{} {}", row.subject(), row.expression);
        let long = rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0).max(28);
        for row in rows {
            let (code, mark) = match row.verdict {
                Verdict::Pass => (GREEN, "✓ pass     "),
                Verdict::Fail => (RED, "✗ fail     "),
                Verdict::Undecided => (YELLOW, "? undecided"),
            };
            let observed = match &row.observed {
                None => "no success to measure".into(),
                Some(e) if row.metric.starts_with("latency") => time_interval(e),
                Some(e) if row.metric == "success_rate" => interval(e, share),
                Some(e) if row.metric.starts_with("cost") => {
                    interval(e, |v| money(v, self.currency))
                }
                Some(e) => format!("{} per s", interval(e, count)),
            };
            let more =
                if row.verdict == Verdict::Undecided { "; raise --replications" } else { "" };
            let mark = self.paint(code, mark);
            writeln!(
                self.out,
                "  {mark} {:wide$}  {:long$} {observed}{more}",
                cut(&row.design, wide),
                text(row)
            )?;
        }
        Ok(())
    }

    fn design(&mut self, design: &DesignResult) -> std::fmt::Result {
        self.heading(&design.name)?;
        let attempts = design.attempts_per_request.value;
        let retries = if attempts > 1.000_001 {
            format!(", {attempts:.2} attempts each")
        } else {
            String::new()
        };
        writeln!(
            self.out,
            "  requests   {} by {} users in {}{retries}",
            count(design.requests.value),
            count(design.users.value),
            seconds(design.duration.value)
        )?;
        if design.unfinished.value > 0.0 {
            writeln!(
                self.out,
                "  unfinished {} had no answer at the end",
                count(design.unfinished.value)
            )?;
        }
        let l = &design.latency;
        if l.count > 0 {
            let quantiles = [
                ("p50", l.p50),
                ("p90", l.p90),
                ("p95", l.p95),
                ("p99", l.p99),
                ("p99.9", l.p99_9),
            ];
            let shown: Vec<String> =
                quantiles.iter().map(|(name, e)| format!("{name} {}", time_interval(e))).collect();
            let mean = format!("mean {}", time_interval(&l.mean));
            let text = wrap(&format!("{mean}  {}", shown.join("  ")), self.width - 13, 13);
            writeln!(self.out, "  latency    {text}")?;
        }
        if let Some(text) = design.grows() {
            let text = self.paint(YELLOW, &wrap(&text, self.width.saturating_sub(13), 13));
            writeln!(self.out, "  {:10} {text}", "unsettled")?;
        }
        if let Some(own) = &design.steady {
            let text = wrap(&steady(own), self.width.saturating_sub(13), 13);
            writeln!(self.out, "  {:10} {text}", "steady")?;
        }
        self.failures(design)?;
        self.story(design)?;
        self.cost(design)
    }

    /// What happened in order of time, and what would be without the bottleneck.
    fn story(&mut self, design: &DesignResult) -> std::fmt::Result {
        let told = ["limit", "failure", "retries", "recovery"];
        let moments = design.story.iter().filter(|moment| told.contains(&moment.kind.as_str()));
        for (i, moment) in moments.take(8).enumerate() {
            let label = if i == 0 { "story" } else { "" };
            let text = wrap(&moment.text, self.width.saturating_sub(24), 24);
            writeln!(self.out, "  {label:10} {:>8}  {text}", seconds(moment.at))?;
        }
        for (i, own) in design.incidents.iter().enumerate() {
            let label = if i == 0 { "events" } else { "" };
            let text = wrap(&incident(own), self.width.saturating_sub(24), 24);
            writeln!(self.out, "  {label:10} {:>8}  {text}", seconds(own.at))?;
        }
        if let Some(told) = &design.counterfactual {
            let text = wrap(&without(told, design), self.width.saturating_sub(13), 13);
            writeln!(self.out, "  {:10} {text}", "without it")?;
        }
        Ok(())
    }

    fn failures(&mut self, design: &DesignResult) -> std::fmt::Result {
        for (i, row) in design.failures.iter().take(6).enumerate() {
            let status =
                if row.status == 0 { "no answer".into() } else { format!("HTTP {}", row.status) };
            let label = if i == 0 { "failures" } else { "" };
            writeln!(
                self.out,
                "  {label:10} {:>8} {} at {} ({status}), {}, first at {}",
                share(row.share.value),
                row.cause,
                row.node,
                counted(row.count.value, "request"),
                seconds(row.since())
            )?;
        }
        if design.failures.len() > 6 {
            writeln!(self.out, "  {:10} and {} more causes", "", design.failures.len() - 6)?;
        }
        if let Some(limit) = &design.bottleneck {
            let effect = if limit.failures.value > 0.0 {
                format!("{} failed by it", counted(limit.failures.value, "call"))
            } else {
                format!("it caused {} of waiting in all", seconds(limit.waiting.value))
            };
            let text = format!(
                "{} of {}, from {} on; {effect}",
                limit.about,
                limit.node,
                seconds(limit.since())
            );
            writeln!(self.out, "  bottleneck {}", wrap(&text, self.width - 13, 13))?;
        }
        Ok(())
    }

    fn cost(&mut self, design: &DesignResult) -> std::fmt::Result {
        let cost = &design.cost;
        let cash = |value: f64| money(value, self.currency);
        let mut lines =
            vec![format!("  cost       {} for the window", interval(&cost.total, cash))];
        for line in &cost.lines {
            lines.push(format!(
                "             ├─ {:26} {:>16} {:<8} {}",
                cut(&format!("{} {}", line.node, line.item), 26),
                count_small(line.quantity),
                unit(line),
                cash(line.amount)
            ));
        }
        if cost.idle.value > 0.0 || cost.wasted.value > 0.0 {
            lines.push(format!(
                "             ├─ of it idle but reserved {}, spent on failed work {}",
                cash(cost.idle.value),
                cash(cost.wasted.value)
            ));
        }
        if design.latency.count > 0 {
            let month = cost.per_user_monthly.map(|e| format!(", {} a user", cash(e.value)));
            lines.push(format!(
                "             └─ per user served {}, per successful request {}, per month {}{}",
                interval(&cost.per_user, cash),
                cash(cost.per_request.value),
                cash(cost.monthly.value),
                month.unwrap_or_default()
            ));
        }
        writeln!(self.out, "{}", lines.join("\n"))
    }

    fn differences(&mut self, result: &RunResult) -> std::fmt::Result {
        let Some(first) = result.differences.first() else { return Ok(()) };
        self.heading(&format!("Compared with {} (paired by replication)", first.baseline))?;
        for row in &result.differences {
            let signed =
                |text: String| if text.starts_with('-') { text } else { format!("+{text}") };
            let shown = match row.metric.as_str() {
                "success_rate" => {
                    difference(&row.difference, |v| signed(format!("{:.2} points", v * 100.0)))
                }
                "latency_mean" => difference(&row.difference, |v| {
                    let size = TimeUnit::of(&row.difference).show(v.abs());
                    if v < 0.0 { format!("-{size}") } else { format!("+{size}") }
                }),
                "cost_per_user" => difference(&row.difference, |v| {
                    let size = money(v.abs(), self.currency);
                    if v < 0.0 { format!("-{size}") } else { format!("+{size}") }
                }),
                _ => continue,
            };
            let verdict = if row.significant { "significant" } else { "no difference shown" };
            writeln!(
                self.out,
                "  {:20} {:14} {shown}  {verdict}",
                cut(&row.design, 20),
                row.metric
            )?;
        }
        Ok(())
    }

    fn assumptions(&mut self, result: &RunResult) -> std::fmt::Result {
        if result.assumptions.is_empty() {
            return Ok(());
        }
        self.heading(&format!("{} values are assumed", result.assumptions.len()))?;
        for row in result.assumptions.iter().take(3) {
            let text = format!("{} = {} ({})", row.path, cut(&row.value, 40), row.why);
            writeln!(self.out, "  {}", cut(&text, self.width - 2))?;
        }
        writeln!(self.out, "  `headroom plan FILE` lists them all")
    }
}

/// A class of users below its design: what is known of it alone.
fn class_cells(row: &ClassRow) -> Vec<Cell> {
    let ended = row.latency_all.count > 0;
    let time = |e: &Estimate| if row.latency.count > 0 { seconds(e.value) } else { "–".into() };
    let figures = [
        if ended { interval(&row.success_rate, share) } else { "–".into() },
        time(&row.latency.p50),
        time(&row.latency.p95),
        time(&row.latency.p99),
        time(&row.latency.mean),
        count(row.throughput.value),
    ];
    let name = Cell::new(format!("└ {}", cut(&row.name, 18)));
    let figures =
        figures.into_iter().map(|text| Cell::new(text).set_alignment(CellAlignment::Right));
    std::iter::once(name).chain(figures).collect()
}

/// How many assumed values of a design are shown.
const MATTER: usize = 5;

/// What a varied value changes.
fn varied(side: &Varied) -> String {
    if let Some(why) = &side.refused {
        return format!("not allowed: {why}");
    }
    let percent = |v: f64| format!("{:+.2}", v * 100.0);
    let figures = [
        ("success", side.success_rate, "points"),
        ("p95", side.latency_p95, "%"),
        ("cost per user", side.cost_per_user, "%"),
    ];
    let shown = figures.into_iter().filter_map(|(name, change, unit)| {
        let change = change.filter(Estimate::excludes_zero)?;
        Some(format!("{name} {} {unit}", difference(&change, percent)))
    });
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() { "no change shown".into() } else { shown.join(", ") }
}

/// The counterfactual in a sentence.
fn without(told: &Counterfactual, design: &DesignResult) -> String {
    let name = format!("{} of {}", told.about, told.node);
    if let Some(why) = &told.refused {
        return format!("{name} was not lifted: {why}");
    }
    let next = told.next.as_ref().map_or("none".into(), bottleneck);
    let success = told.differences.iter().find(|own| own.metric == "success_rate");
    let worse = success.is_some_and(|own| own.significant && own.difference.value < 0.0);
    let worse = if worse { " (worse: it keeps load from what is behind it)" } else { "" };
    format!(
        "if {name} were lifted: success {} -> {}{worse}, p95 {} -> {}; next limit: {next}",
        share(design.success_rate.value),
        interval(&told.success_rate, share),
        seconds(design.latency.p95.value),
        time_interval(&told.latency.p95)
    )
}

fn count_small(value: f64) -> String {
    if value.fract() == 0.0 || value >= 1000.0 { count(value) } else { format!("{value:.4}") }
}

/// Breaks a text at spaces; later lines are indented.
fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let len = word.chars().count() + 1;
        if used > 0 && used + len > width + 1 {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = 0;
        } else if used > 0 {
            out.push(' ');
        }
        out.push_str(word);
        used += len;
    }
    out
}
