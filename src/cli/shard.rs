//! Which part of a sweep this process does: by flag, or by what a scheduler says in the environment.

use super::args::SweepArgs;
use super::load::Source;
use super::{Exit, files, say};
pub(super) use crate::experiment::journal::Shard;
use std::fmt::Write as _;

const NOT_A_SHARD: &str = "E0025";

fn refuse(what: &str, remedy: &str) -> Exit {
    say::error(&format!("error[{NOT_A_SHARD}]: {what}\n  = help: {remedy}"));
    Exit::Usage
}

/// The shard that a flag names: `2/4`, or `auto` for the one that the scheduler gave.
pub(super) fn chosen(flag: Option<&str>) -> Result<Shard, Exit> {
    let Some(flag) = flag else { return Ok(Shard::WHOLE) };
    if flag == "auto" {
        return from_environment(&files::variable).map_err(|(what, remedy)| refuse(&what, remedy));
    }
    let parts = flag.split_once('/');
    let number = |text: &str| text.trim().parse::<usize>().ok();
    let parts = parts.and_then(|(k, n)| number(k).zip(number(n)));
    match parts {
        Some((index, count)) if (1..=count).contains(&index) => {
            Ok(Shard { index: index - 1, count })
        }
        _ => Err(refuse(
            &format!("\"{flag}\" is no shard"),
            "write K/N with K from 1 to N, such as 2/4, or auto",
        )),
    }
}

/// Reads the variables of a Kubernetes Indexed Job, an AWS Batch array job or a Slurm array.
fn from_environment(
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Shard, (String, &'static str)> {
    let number = |name: &'static str| -> Result<Option<usize>, (String, &'static str)> {
        variable(name).map(|text| text.trim().parse::<usize>()).transpose().map_err(|_| {
            (format!("{name} is not a whole number"), "set it to one, or give --shard K/N")
        })
    };
    // A count that is said outright goes before the scheduler's own.
    let said = number("HEADROOM_SHARDS")?;
    let (index, own) = if let Some(index) = number("JOB_COMPLETION_INDEX")? {
        (index, None)
    } else if let Some(index) = number("AWS_BATCH_JOB_ARRAY_INDEX")? {
        (index, number("AWS_BATCH_JOB_ARRAY_SIZE")?)
    } else if let Some(id) = number("SLURM_ARRAY_TASK_ID")? {
        let first = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
        let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
        (id.saturating_sub(first) / step, number("SLURM_ARRAY_TASK_COUNT")?)
    } else {
        let what = "no scheduler says which shard this is".to_owned();
        return Err((
            what,
            "give --shard K/N; auto reads JOB_COMPLETION_INDEX, AWS_BATCH_JOB_ARRAY_INDEX or SLURM_ARRAY_TASK_ID",
        ));
    };
    let Some(count) = said.or(own) else {
        let what = "the scheduler does not say how many shards there are".to_owned();
        return Err((what, "set HEADROOM_SHARDS to the number of completions"));
    };
    if index >= count {
        let what = format!("index {index} is past {count} shards, counted from 0");
        return Err((
            what,
            "let the array begin at its first index, and HEADROOM_SHARDS be its length",
        ));
    }
    Ok(Shard { index, count })
}

/// Name of a shard's journal.
pub(super) fn journal_name(shard: Shard) -> String {
    match shard {
        Shard::WHOLE => "sweep.journal".into(),
        Shard { index, count } => format!("sweep-{}-of-{count}.journal", index + 1),
    }
}

/// A text as YAML takes it in double quotes: JSON's quoting is a part of YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Prints a manifest for an Indexed Job whose pods are the shards; the scenario comes with it as a ConfigMap.
pub(super) fn manifest(args: &SweepArgs, source: &Source) -> Exit {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = write_manifest(&mut text, args, source);
    say::bytes(text.as_bytes())
}

fn write_manifest(out: &mut String, args: &SweepArgs, source: &Source) -> std::fmt::Result {
    let scenario = String::from_utf8_lossy(&source.bytes);
    writeln!(
        out,
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: headroom-sweep\ndata:\n  scenario: |2"
    )?;
    for line in scenario.lines() {
        writeln!(out, "{}", format!("    {line}").trim_end())?;
    }
    let shards = args.shards;
    let mut command = vec!["sweep".to_owned(), "/scenario/scenario".into()];
    for vary in &args.vary {
        command.extend(["--vary".to_owned(), vary.clone()]);
    }
    for design in &args.design {
        command.extend(["--design".to_owned(), design.clone()]);
    }
    if let Some(seed) = args.scenario.seed {
        command.push(format!("--seed={seed}"));
    }
    if let Some(replications) = args.scenario.replications {
        command.push(format!("--replications={replications}"));
    }
    if let Some(precision) = args.precision.wanted() {
        command.push(format!("--precision={}", precision.relative * 100.0));
        command.push(format!("--most={}", precision.most));
    }
    command.extend(["--shard", "auto", "--resume", "--quiet", "--out", "/out"].map(str::to_owned));
    writeln!(
        out,
        "---\napiVersion: batch/v1\nkind: Job\nmetadata:\n  name: headroom-sweep\nspec:"
    )?;
    writeln!(
        out,
        "  completionMode: Indexed\n  completions: {shards}\n  parallelism: {shards}\n  backoffLimitPerIndex: 3"
    )?;
    writeln!(
        out,
        "  template:\n    spec:\n      restartPolicy: Never\n      containers:\n        - name: headroom"
    )?;
    writeln!(out, "          image: {}\n          args:", quoted(&args.image))?;
    for word in command {
        writeln!(out, "            - {}", quoted(&word))?;
    }
    writeln!(
        out,
        "          env:\n            - name: HEADROOM_SHARDS\n              value: \"{shards}\""
    )?;
    writeln!(
        out,
        "          resources:\n            requests:\n              cpu: \"1\"\n              memory: 512Mi"
    )?;
    writeln!(
        out,
        "          volumeMounts:\n            - name: scenario\n              mountPath: /scenario"
    )?;
    writeln!(
        out,
        "            - name: out\n              mountPath: /out\n      volumes:\n        - name: scenario"
    )?;
    writeln!(out, "          configMap:\n            name: headroom-sweep\n        - name: out")?;
    writeln!(out, "          persistentVolumeClaim:\n            claimName: headroom-sweep")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Option<(usize, usize)> {
        let variable = |name: &str| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        from_environment(&variable).ok().map(|shard| (shard.index, shard.count))
    }

    #[test]
    fn schedulers_say_which_shard() {
        let kubernetes = ("JOB_COMPLETION_INDEX", "2");
        assert_eq!(read(&[kubernetes, ("HEADROOM_SHARDS", "4")]), Some((2, 4)));
        assert_eq!(read(&[kubernetes]), None);
        let batch = [("AWS_BATCH_JOB_ARRAY_INDEX", "0"), ("AWS_BATCH_JOB_ARRAY_SIZE", "3")];
        assert_eq!(read(&batch), Some((0, 3)));
        let slurm = |id| {
            [
                ("SLURM_ARRAY_TASK_ID", id),
                ("SLURM_ARRAY_TASK_MIN", "1"),
                ("SLURM_ARRAY_TASK_STEP", "2"),
                ("SLURM_ARRAY_TASK_COUNT", "4"),
            ]
        };
        assert_eq!(
            ["1", "3", "7"].map(|id| read(&slurm(id))),
            [Some((0, 4)), Some((1, 4)), Some((3, 4))]
        );
        assert_eq!(read(&slurm("9")), None);
        assert_eq!(read(&[("SLURM_ARRAY_TASK_ID", "x")]), None);
        assert_eq!(read(&[]), None);
    }
}
