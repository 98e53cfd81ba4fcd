//! Puts a value at a path of a resolved scenario, so that one scenario stands for many.

use super::path::{Path, Segment};
use super::words::nearest;
use serde_json::Value;

/// Sets every place that a path leads to (`*` stands for any name or index). A last key that is missing is added: the
/// shape check says later whether it may stand there.
///
/// # Errors
/// Says where the path leads nowhere.
pub fn assign(scenario: &mut Value, path: &Path, value: &Value) -> Result<(), String> {
    let Some((last, way)) = path.0.split_last() else {
        return Err("the path is empty".into());
    };
    let mut places = vec![scenario];
    for (depth, segment) in way.iter().enumerate() {
        let mut next = Vec::new();
        let mut known: Vec<String> = Vec::new();
        for place in places {
            known.extend(keys(place));
            next.extend(step(place, segment));
        }
        if next.is_empty() {
            let so_far = Path(path.0[..=depth].to_vec());
            let name = if let Segment::Key(key) = segment { key } else { "" };
            let near = nearest(name, known.iter().map(String::as_str));
            let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            return Err(format!("{so_far} leads nowhere{hint}"));
        }
        places = next;
    }
    let mut set = 0;
    for place in places {
        if let (Segment::Key(key), Value::Object(map)) = (last, &mut *place)
            && key != "*"
        {
            map.insert(key.clone(), value.clone());
            set += 1;
            continue;
        }
        for target in step(place, last) {
            *target = value.clone();
            set += 1;
        }
    }
    if set == 0 { Err(format!("{path} leads nowhere")) } else { Ok(()) }
}

/// What a path leads to; the first such place where there are several.
pub fn value_at<'a>(scenario: &'a Value, path: &Path) -> Option<&'a Value> {
    path.0.iter().try_fold(scenario, |place, segment| match (segment, place) {
        (Segment::Key(key), Value::Object(map)) if key == "*" => map.values().next(),
        (Segment::Key(key), Value::Array(list)) if key == "*" => list.first(),
        (Segment::Key(key), _) => place.get(key),
        (Segment::Index(index), _) => place.get(*index),
    })
}

fn keys(place: &Value) -> Vec<String> {
    place.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
}

fn step<'a>(place: &'a mut Value, segment: &Segment) -> Vec<&'a mut Value> {
    match place {
        Value::Object(map) => match segment {
            Segment::Key(key) if key == "*" => map.iter_mut().map(|(_, value)| value).collect(),
            Segment::Key(key) => map.get_mut(key).into_iter().collect(),
            Segment::Index(_) => Vec::new(),
        },
        Value::Array(list) => match segment {
            Segment::Key(key) if key == "*" => list.iter_mut().collect(),
            Segment::Index(index) => list.get_mut(*index).into_iter().collect(),
            Segment::Key(_) => Vec::new(),
        },
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_put_where_the_path_leads() {
        let mut scenario = json!({"a": {"x": {"n": 1}, "y": {"n": 2}}, "list": [1, 2]});
        assign(&mut scenario, &Path::parse("a.*.n"), &json!(7)).unwrap();
        assign(&mut scenario, &Path::parse("a.x.new"), &json!("2s")).unwrap();
        assign(&mut scenario, &Path::parse("list[1]"), &json!(3)).unwrap();
        let wanted = json!({"a": {"x": {"n": 7, "new": "2s"}, "y": {"n": 7}}, "list": [1, 3]});
        assert_eq!(scenario, wanted);
        assert_eq!(value_at(&scenario, &Path::parse("a.*.n")), Some(&json!(7)));
        assert_eq!(value_at(&scenario, &Path::parse("a.z.n")), None);
    }

    #[test]
    fn paths_that_lead_nowhere_are_said() {
        let mut scenario = json!({"designs": {"pods": {"n": 1}}, "list": [1]});
        let why = assign(&mut scenario, &Path::parse("designs.pod.n"), &json!(1)).unwrap_err();
        assert!(why.contains("did you mean `pods`"), "{why}");
        for path in ["", "designs.pods.n.deeper", "list[4]", "list.*.x"] {
            assert!(assign(&mut scenario, &Path::parse(path), &json!(1)).is_err(), "{path}");
        }
    }
}
