//! Flags and arguments, with their help texts.

use crate::experiment::Precision;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Tells, before any load test, whether a backend design survives a burst, how slow it gets, what breaks first and what
/// one served user costs.
///
/// Headroom simulates AWS Lambda backends and fixed-capacity clusters under the same users, request by request, and
/// compares the designs of a scenario with 95 % confidence intervals. Without a command it runs the built-in scenario.
#[derive(Debug, Parser)]
#[command(name = "headroom", version, propagate_version = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    /// Flags of every command.
    #[command(flatten)]
    pub(super) shared: Shared,
}

const EXAMPLES: &str = "\
Examples:
  headroom                                  run the built-in scenario
  headroom run burst.json                   run a scenario, print one screen
  headroom run burst.yaml --out out/        also write result.json, report.html, CSVs and charts
  headroom run - --format json < burst.json results on standard output, for a program
  headroom report out/result.json --out a.html  one HTML file with charts
  headroom find burst.json --max workload.shoppers.load.closed.users
  headroom diff before.json after.json      say what changed
  headroom sweep burst.json --vary workload.*.load.closed.users=100..2000:100 --out out/
                                            figures, charts and crossovers along a grid
  headroom check burst.json                 find all problems, run nothing
  headroom plan burst.json                  show every value that would be used
  headroom explain designs.*.nodes.*.lambda.memory

Exit codes:
  0 ok, 1 the run failed or a file could not be written, 2 wrong usage, a scenario with errors or
  a file that could not be read, 98 undecided thresholds with --strict, 99 thresholds failed,
  130 interrupted";

/// Flags of every command.
#[derive(Debug, Args, Default)]
pub(super) struct Shared {
    /// Print nothing but the result
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
    /// When to use colours (also NO_COLOR and CLICOLOR_FORCE)
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, env = "HEADROOM_COLOR")]
    pub(super) color: Color,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a scenario and compare its designs
    Run(RunArgs),
    /// Say what changed between two results or scenarios, and whether to believe it
    Diff(DiffArgs),
    /// Run every design at every point of a grid of values
    Sweep(SweepArgs),
    /// Put the shards of a sweep together
    Merge(MergeArgs),
    /// Search: most users, least servers, the cheapest configuration, the break-even of two designs
    Find(FindArgs),
    /// Show the resolved scenario with every assumed value, and what a run would take
    Plan(PlanArgs),
    /// Show a stored result again: one HTML file, Markdown, a chart, a table
    Report(ReportArgs),
    /// Find all problems of a scenario without running it
    Check(CheckArgs),
    /// Say what a scenario field or an error code means
    Explain(ExplainArgs),
    /// Hold predictions against measurements, logs and tables of cases
    Verify(VerifyArgs),
    /// Print the JSON Schema of scenarios (draft-07), for editors
    Schema,
    /// Write a scenario to start from
    Init(InitArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write manual pages into a folder
    Man(ManArgs),
}

/// Which scenario, with which prices.
#[derive(Debug, Args, Default)]
pub(super) struct ScenarioArgs {
    /// Scenario file, JSON or YAML; `-` reads standard input; none: the built-in scenario
    pub(super) file: Option<PathBuf>,
    /// Price table to use on top of the built-in one
    #[arg(long, value_name = "FILE")]
    pub(super) prices: Option<PathBuf>,
    /// Seed, instead of the scenario's
    #[arg(long, env = "HEADROOM_SEED")]
    pub(super) seed: Option<u64>,
    /// Replications of every design, instead of the scenario's
    #[arg(long, value_name = "N", env = "HEADROOM_REPLICATIONS", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(super) replications: Option<u32>,
}

/// What else is asked about a run.
#[derive(Debug, Args, Default)]
pub(super) struct AlsoArgs {
    /// Also give success, mean latency and throughput of the steady state under load, without the warm-up
    #[arg(long)]
    pub(super) steady_state: bool,
    /// Run every design again with its bottleneck lifted, under the same users: what it would gain, what would bind next
    #[arg(long)]
    pub(super) counterfactual: bool,
    /// Run again with every assumed figure halved and doubled: which assumptions the answer hangs on; takes long
    #[arg(long)]
    pub(super) sensitivity: bool,
}

/// Until when replications are added.
#[derive(Debug, Args, Default)]
pub(super) struct PrecisionArgs {
    /// Add replications until the 95 % intervals of success rate, p95 latency and cost per user of every design are within
    /// this much of the figure
    #[arg(long, value_name = "PERCENT", value_parser = some_percent)]
    precision: Option<f64>,
    /// Replications of every design at most, with --precision
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=100_000), requires = "precision")]
    most: u32,
}

impl PrecisionArgs {
    /// What is wanted, if anything is.
    pub(super) fn wanted(&self) -> Option<Precision> {
        let percent = self.precision?;
        Some(Precision { relative: percent / 100.0, most: self.most })
    }
}

/// Arguments of `run`.
#[derive(Debug, Args, Default)]
#[command(
    after_help = "Examples:\n  headroom run burst.json\n  headroom run burst.json --replications 100 --seed 7 --out out/\n  headroom run burst.json --precision 5%\n  headroom run burst.json --format csv > summary.csv"
)]
pub(super) struct RunArgs {
    /// Which scenario.
    #[command(flatten)]
    pub(super) scenario: ScenarioArgs,
    /// Format of the result on standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,
    /// Folder for result.json, report.html, CSV files and charts (SVG and PNG); created if missing
    #[arg(long, short, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Threads; the result does not depend on them
    #[arg(long, value_name = "N", env = "HEADROOM_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
    /// Until when replications are added.
    #[command(flatten)]
    pub(super) precision: PrecisionArgs,
    /// What else is asked.
    #[command(flatten)]
    pub(super) also: AlsoArgs,
    /// Undecided thresholds end with exit code 98
    #[arg(long)]
    pub(super) strict: bool,
}

/// Format of a result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One screen for people.
    #[default]
    Table,
    /// The whole result.
    Json,
    /// The summary, one row a figure.
    Csv,
    /// For a pull request.
    Markdown,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  headroom report out/result.json --out report.html\n  headroom report out/result.json --format svg --chart latency --out latency.svg\n  headroom run burst.json --format json | headroom report - --format markdown"
)]
pub(super) struct ReportArgs {
    /// Result of a run (`result.json`); `-` reads standard input
    pub(super) result: PathBuf,
    /// Format of the report
    #[arg(long, value_enum, default_value_t = ReportFormat::Html)]
    pub(super) format: ReportFormat,
    /// Which chart, for SVG and PNG
    #[arg(long, value_name = "NAME", default_value = "success_and_latency", value_parser = clap::builder::PossibleValuesParser::new(crate::report::chart_names()))]
    pub(super) chart: String,
    /// Predictions beside truth for the HTML report: the output of `verify --format json`
    #[arg(long, value_name = "FILE")]
    pub(super) verify: Option<PathBuf>,
    /// File to write; none or `-`: standard output
    #[arg(long, short, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

/// Format of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// One self-contained file with charts, for a browser.
    #[default]
    Html,
    /// For a pull request.
    Markdown,
    /// One chart as SVG.
    Svg,
    /// One chart as PNG.
    Png,
    /// The summary, one row a figure.
    Csv,
    /// One screen for people.
    Table,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  headroom diff main.json branch.json\n  headroom diff out/result.json branch.json --format markdown\n  headroom diff before.json after.json --tolerance 2 --fail-on never\n\nWith GITHUB_STEP_SUMMARY set, the Markdown is appended to that file as well."
)]
pub(super) struct DiffArgs {
    /// What to compare with: a result.json, or a scenario to be run
    pub(super) base: PathBuf,
    /// What to compare: a result.json, or a scenario to be run
    pub(super) new: PathBuf,
    /// Format of the comparison on standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,
    /// What ends with exit code 99
    #[arg(long, value_enum, default_value_t = FailOn::Regression)]
    pub(super) fail_on: FailOn,
    /// Changes of less than this many percent are negligible
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    pub(super) tolerance: f64,
    /// Price table to use on top of the built-in one, for scenarios
    #[arg(long, value_name = "FILE")]
    pub(super) prices: Option<PathBuf>,
    /// Seed of both, for scenarios; none: that of the result beside it, or of the first scenario
    #[arg(long, env = "HEADROOM_SEED")]
    pub(super) seed: Option<u64>,
    /// Replications of every design, for scenarios
    #[arg(long, value_name = "N", env = "HEADROOM_REPLICATIONS", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(super) replications: Option<u32>,
}

/// What a comparison fails on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    /// Something became worse.
    #[default]
    Regression,
    /// Something changed, or is on one side only.
    Change,
    /// Nothing.
    Never,
}

/// A number of percent, not negative.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim().parse::<f64>();
    match number {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("write a number of percent, such as 2".into()),
    }
}

/// A number of percent above 0.
fn some_percent(text: &str) -> Result<f64, String> {
    percent(text)
        .ok()
        .filter(|number| *number > 0.0)
        .ok_or_else(|| "write a number of percent above 0, such as 5%".into())
}

/// Arguments of `sweep`.
#[derive(Debug, Args)]
#[command(
    after_help = "Values:\n  3,6,12  128MB,256MB  true,false    a list\n  100..2000:100                      from 100 to 2000 in steps of 100, both included\n  100..10000:log7                    seven values at equal ratios\n  `*` in a path stands for every name at its place.\n\nExamples:\n  headroom sweep burst.json --vary workload.*.load.closed.users=100..2000:100 --out out/\n  headroom sweep burst.json --vary designs.*.nodes.api.pods.replicas=3,6,12 --vary run.seed=1,2\n  headroom sweep burst.json --vary … --out out/ --resume\n  headroom sweep burst.json --vary … --shard 2/4 --out out/ && headroom merge out/ --out all/\n  headroom sweep burst.json --vary … --emit k8s-job --shards 8 | kubectl apply -f -"
)]
pub(super) struct SweepArgs {
    /// Which scenario.
    #[command(flatten)]
    pub(super) scenario: ScenarioArgs,
    /// A path of the scenario and its values; several make every combination
    #[arg(long, value_name = "PATH=VALUES", required = true)]
    pub(super) vary: Vec<String>,
    /// Until when replications are added.
    #[command(flatten)]
    pub(super) precision: PrecisionArgs,
    /// Only this design; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(super) design: Vec<String>,
    /// Folder for sweep.json, sweep.csv, charts and the journal; created if missing
    #[arg(long, short, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Go on with the sweep in the --out folder; begin it if there is none
    #[arg(long, requires = "out")]
    pub(super) resume: bool,
    /// Do part K of N only; auto takes both from the scheduler of an array job
    #[arg(long, value_name = "K/N", env = "HEADROOM_SHARD")]
    pub(super) shard: Option<String>,
    /// Format of the result on standard output
    #[arg(long, value_enum, default_value_t = SweepFormat::Table)]
    pub(super) format: SweepFormat,
    /// Threads; the result does not depend on them
    #[arg(long, value_name = "N", env = "HEADROOM_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
    /// Print a manifest that does the sweep elsewhere, and run nothing
    #[arg(long, value_enum)]
    pub(super) emit: Option<Emit>,
    /// Number of shards of the manifest
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000), requires = "emit")]
    pub(super) shards: u32,
    /// Container image of the manifest, with this program as its entry point
    #[arg(long, default_value = concat!("headroom:", env!("CARGO_PKG_VERSION")), requires = "emit")]
    pub(super) image: String,
}

/// What can be printed for a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Emit {
    /// A Kubernetes Indexed Job.
    K8sJob,
}

/// Format of a sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum SweepFormat {
    /// For people.
    #[default]
    Table,
    /// One row a point, design and figure.
    Csv,
    /// The whole result.
    Json,
}

/// Arguments of `merge`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  headroom merge shard-1/ shard-2/ --out all/\n\nThe result has the same bytes as that of one process."
)]
pub(super) struct MergeArgs {
    /// Folders that the shards wrote
    #[arg(required = true, value_name = "DIR")]
    pub(super) dirs: Vec<PathBuf>,
    /// Folder for sweep.json, sweep.csv and charts; created if missing
    #[arg(long, short, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// Format of the result on standard output
    #[arg(long, value_enum, default_value_t = SweepFormat::Table)]
    pub(super) format: SweepFormat,
}

/// Arguments of `find`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  headroom find burst.json --max workload.shoppers.load.closed.users\n  headroom find burst.json --min designs.pods.nodes.api.pods.replicas=1..40\n  headroom find burst.json --cheapest --vary designs.pods.nodes.api.pods.replicas=2..8 --vary designs.pods.nodes.api.pods.hosts.count=1..4\n  headroom find burst.json --break-even workload.shoppers.load.open.rate.steady.rate=1/s..500/s --between pods,lambda\n\nEvery place is simulated with few replications first, and with more until it is decided. All answers of a search\ntogether are right with 95 % confidence."
)]
#[command(group = clap::ArgGroup::new("question").required(true).args(["max", "min", "cheapest", "break_even"]))]
pub(super) struct FindArgs {
    /// Which scenario.
    #[command(flatten)]
    pub(super) scenario: ScenarioArgs,
    /// Largest value of a path within all thresholds; a path to a whole number needs no range
    #[arg(long, value_name = "PATH[=LOW..HIGH]")]
    pub(super) max: Option<String>,
    /// Smallest value of a path within all thresholds
    #[arg(long, value_name = "PATH=LOW..HIGH")]
    pub(super) min: Option<String>,
    /// Cheapest combination of the --vary values within all thresholds
    #[arg(long, requires = "vary")]
    pub(super) cheapest: bool,
    /// Values of a path for --cheapest: `a,b,c`, `LOW..HIGH` or `LOW..HIGH:STEP`; may be repeated
    #[arg(long, value_name = "PATH=VALUES")]
    pub(super) vary: Vec<String>,
    /// Value of a path at which two designs cost the same
    #[arg(long, value_name = "PATH=LOW..HIGH", requires = "between")]
    pub(super) break_even: Option<String>,
    /// The two designs of --break-even
    #[arg(long, value_name = "A,B")]
    pub(super) between: Option<String>,
    /// Cost by which designs are compared
    #[arg(long, value_name = "METRIC", default_value = "cost_monthly", value_parser = ["cost_monthly", "cost_total", "cost_per_user", "cost_per_user_monthly", "cost_per_request"])]
    pub(super) by: String,
    /// Design to search; may be repeated; none: those that the path concerns
    #[arg(long, value_name = "NAME")]
    pub(super) design: Vec<String>,
    /// Replications of a place at most; what is open then is undecided
    #[arg(long, value_name = "N", default_value_t = 160, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(super) most: u32,
    /// Relative distance at which two values are near enough
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = percent)]
    pub(super) precision: f64,
    /// Relative difference of cost that does not matter, for --cheapest
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = percent)]
    pub(super) indifference: f64,
    /// More of every --vary value never misses a threshold and never costs less: far fewer runs
    #[arg(long, requires = "cheapest")]
    pub(super) monotone: bool,
    /// Format of the answer on standard output
    #[arg(long, value_enum, default_value_t = FindFormat::Table)]
    pub(super) format: FindFormat,
}

/// Format of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum FindFormat {
    /// For people.
    #[default]
    Table,
    /// For a program.
    Json,
}

/// Arguments of `plan`.
#[derive(Debug, Args, Default)]
#[command(after_help = "Example:\n  headroom plan burst.json")]
pub(super) struct PlanArgs {
    /// Which scenario.
    #[command(flatten)]
    pub(super) scenario: ScenarioArgs,
    /// Print the resolved scenario as plain JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `check`.
#[derive(Debug, Args, Default)]
#[command(
    after_help = "Examples:\n  headroom check burst.json\n  headroom check burst.json --format github"
)]
pub(super) struct CheckArgs {
    /// Which scenario.
    #[command(flatten)]
    pub(super) scenario: ScenarioArgs,
    /// Format of the findings
    #[arg(long, value_enum, default_value_t = FindingFormat::Text)]
    pub(super) format: FindingFormat,
}

/// Format of findings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum FindingFormat {
    /// With the place in the file.
    #[default]
    Text,
    /// A list of objects.
    Json,
    /// Annotations for GitHub Actions.
    Github,
}

/// Arguments of `explain`.
#[derive(Debug, Args, Default)]
#[command(
    after_help = "Examples:\n  headroom explain\n  headroom explain workload.*.retry\n  headroom explain designs.*.nodes.*.nginx.nofile\n  headroom explain E0301"
)]
pub(super) struct ExplainArgs {
    /// Path of a field (`*` stands for any name), or an error code
    pub(super) path: Option<String>,
    /// The whole tree below it
    #[arg(long)]
    pub(super) recursive: bool,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  headroom init compare > scenario.json\n  headroom init lambda --out scenario.json"
)]
pub(super) struct InitArgs {
    /// What kind of scenario
    #[arg(value_enum, default_value_t = Template::Compare)]
    pub(super) template: Template,
    /// File to write; none: standard output. An existing file is not touched
    #[arg(long, short, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

/// A scenario to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Template {
    /// A function and pods under the same burst.
    Compare,
    /// API Gateway, Lambda, PostgreSQL.
    Lambda,
    /// nginx, pods, PostgreSQL.
    Cluster,
}

/// Arguments of `verify`.
#[derive(Debug, Args, Default)]
#[command(
    after_help = "Examples:\n  headroom verify\n  headroom verify --measured measurements/ --format json\n  headroom verify --hpa cases.json"
)]
pub(super) struct VerifyArgs {
    /// Folder with measured cases (*.json, docs/measuring.md) and logs of Lambda requests (run*.csv, docs/lambda-log.md);
    /// searched with its subfolders. Without one: the known answers of theory and the measurements that come with the program
    #[arg(long, value_name = "DIR")]
    pub(super) measured: Vec<PathBuf>,
    /// Cases of the Horizontal Pod Autoscaler, as docs/hpa-cases.md describes them; `-` reads standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["measured", "case", "scenario", "kind", "out"])]
    pub(super) hpa: Option<PathBuf>,
    /// Only cases whose name begins with this
    #[arg(long, value_name = "ID")]
    pub(super) case: Option<String>,
    /// Only truths of this kind
    #[arg(long, value_enum)]
    pub(super) kind: Vec<VerifyKind>,
    /// Print the scenario that a case becomes, and run nothing
    #[arg(long, requires = "case")]
    pub(super) scenario: bool,
    /// Replications of every case
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(super) replications: u32,
    /// Format on standard output
    #[arg(long, value_enum, default_value_t = VerifyFormat::Table)]
    pub(super) format: VerifyFormat,
    /// Folder for verification.json and verification.html; created if missing
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
}

/// Kind of a truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum VerifyKind {
    /// Known answers of queueing theory.
    Oracle,
    /// Measurements of real clusters.
    Measured,
    /// Logs of real Lambda requests.
    LambdaLog,
}

/// Format of a verification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum VerifyFormat {
    /// For people.
    #[default]
    Table,
    /// Everything.
    Json,
    /// One page for a browser.
    Html,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Shell
    pub(super) shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Folder for the pages; created if missing
    pub(super) dir: PathBuf,
}
