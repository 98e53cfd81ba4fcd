//! Measurements that come with the program, so that `headroom verify` has truths on any machine: the cases and logs of
//! `tests/data`, word for word. A test compares the lists with the folders.

/// Files of a folder by their names, without ending: (name, text).
macro_rules! files {
    ($folder:literal $ending:literal $($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../tests/data/", $folder, "/", $name, $ending)))),*]
    };
}

/// Measured cases of real clusters (docs/measuring.md).
#[rustfmt::skip]
pub const MEASURED: &[(&str, &str)] = files!("measured" ".json"
    "B-01" "B-02" "B-03" "B-04" "B-05" "B-06" "B-07" "B-08" "B-09" "B-10" "B-11" "B-12" "B-13"
    "B-14" "B-15" "B-16" "B-17" "B-18" "B-19" "E1-01" "E1-03" "E1-05" "E1-06" "E1-08" "E1-10"
    "E1-11" "E1-13" "E1-15" "E10-01" "E10-03" "E10-05" "E10-06" "E10-08" "E2-01" "E2-03" "E2-05"
    "E2-06" "E2-08" "E3-01" "E3-03" "E3-05" "E3-06" "E3-08" "E3-10" "E3-11" "E3-13" "E3-15"
    "E3-16" "E3-18" "E4-01" "E4-03" "E4-05" "E4-06" "E4-08" "E4-10" "E4-11" "E4-13" "E4-15"
    "E4-16" "E4-18" "E5-01" "E5-03" "E5-05" "E5-06" "E5-08" "E5-10" "E5-11" "E5-13" "E5-15"
    "E5-16" "E5-18" "E6-01" "E6-03" "E6-05" "E6-06" "E6-08" "E6-10" "E6-11" "E6-13" "E7-01"
    "E7-03" "E7-05" "E7-06" "E7-08" "E7-10" "E7-11" "E7-13" "E8-01" "E8-03" "E8-05" "E8-06"
    "E8-08" "E8-10" "E9-01" "E9-03" "E9-05" "E9-06" "E9-08"
);

/// Logs of real Lambda requests (docs/lambda-log.md).
pub const LAMBDA_LOGS: &[(&str, &str)] =
    files!("aws-lambda-2020" ".csv" "run02" "run03" "run05" "run07" "run09");
