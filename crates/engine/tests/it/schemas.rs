//! Random JSON Schemas of what is supported.

use serde_json::{Map, Value, json};

/// A small generator of numbers (SplitMix64): the same for the same seed, everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap_or(0)
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// A schema with definitions: `tree` comes back to itself, `leaf` does not.
pub(crate) fn schema(random: &mut Random) -> Value {
    let mut schema = object(random, 3);
    let mut tree = object(random, 1);
    tree["properties"]["child"] = json!({"anyOf": [{"type": "null"}, {"$ref": "#/$defs/tree"}]});
    if random.coin() {
        schema["properties"]["tree"] = json!({"$ref": "#/$defs/tree"});
    }
    schema["$defs"] = json!({"tree": tree, "leaf": scalar(random)});
    schema
}

fn any(random: &mut Random, depth: usize) -> Value {
    if depth == 0 {
        return scalar(random);
    }
    match random.below(8) {
        0 | 1 => object(random, depth - 1),
        2 => array(random, depth - 1),
        3 => json!({"anyOf": [any(random, depth - 1), scalar(random), {"type": "null"}]}),
        4 => json!({"$ref": "#/$defs/leaf"}),
        5 => kinds(random, depth - 1),
        _ => scalar(random),
    }
}

fn object(random: &mut Random, depth: usize) -> Value {
    let names = ["name", "a b", "é", "x\"y", "count", "v1", "list"];
    let mut properties = Map::new();
    let mut required = Vec::new();
    for name in names.iter().take(1 + random.below(names.len())) {
        properties.insert((*name).to_owned(), any(random, depth));
        if random.coin() {
            required.push(*name);
        }
    }
    let mut schema = json!({"type": "object", "properties": properties, "required": required});
    match random.below(4) {
        0 => {}
        1 => schema["additionalProperties"] = scalar(random),
        2 => schema["patternProperties"] = json!({"^x-[a-z]+$": scalar(random)}),
        _ => schema["additionalProperties"] = json!(false),
    }
    schema
}

fn array(random: &mut Random, depth: usize) -> Value {
    let least = random.below(3);
    let mut schema = json!({"type": "array", "items": any(random, depth), "minItems": least});
    if random.coin() {
        schema["maxItems"] = json!(least + 1 + random.below(3));
    }
    if random.below(3) == 0 {
        schema["prefixItems"] = json!([scalar(random), scalar(random)]);
    }
    schema
}

/// Branches that a constant tells apart.
fn kinds(random: &mut Random, depth: usize) -> Value {
    let branch = |kind: &str, value: Value| json!({"type": "object", "properties": {"kind": {"const": kind}, "value": value}, "required": ["kind", "value"]});
    json!({"oneOf": [branch("one", any(random, depth)), branch("other", scalar(random))]})
}

fn scalar(random: &mut Random) -> Value {
    match random.below(12) {
        0 => json!({"type": "boolean"}),
        1 => json!({"enum": ["red", "light \"green\"", 7, null, true, {"k": [1]}]}),
        2 => json!({"const": "fixed\nvalue"}),
        3 => json!({"type": "integer", "minimum": -20, "maximum": 300}),
        4 => json!({"type": "number", "exclusiveMinimum": 0, "maximum": 2.5}),
        5 => json!({"type": "integer", "multipleOf": 7}),
        6 => json!({"type": ["string", "null"], "minLength": 1 + random.below(3), "maxLength": 4 + random.below(9)}),
        7 => {
            json!({"type": "string", "pattern": random.one(&["^[a-z]{2,5}-\\d+$", "^(north|south)$", "[A-Z]{3}", "^\\w+@\\w+\\.org$"])})
        }
        8 => json!({"type": "string", "format": random.one(&["ipv4", "uuid", "time", "email"])}),
        9 => json!({"type": "number"}),
        10 => json!({"type": "integer"}),
        _ => json!({"type": "string"}),
    }
}
