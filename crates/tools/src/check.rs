//! Arguments against the published schema, before a tool runs, with errors that name the field and
//! what would be right. Values of the caller are never quoted.

use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{ValidationError, Validator};
use lla_protocol::FieldError;
use serde_json::Value;

/// Checks `arguments`.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn check(validator: &Validator, arguments: &Value) -> Result<(), FieldError> {
    if !arguments.is_object() {
        return Err(FieldError::body("invalid_type", "the arguments must be a JSON object"));
    }
    // A name that does not exist explains one that is missing: it is most likely the same, misspelt.
    let misspelt = |error: &ValidationError<'_>| matches!(error.kind(), Kind::AdditionalProperties { .. });
    match validator.iter_errors(arguments).min_by_key(|error| !misspelt(error)) {
        None => Ok(()),
        Some(error) => Err(explain(&error, arguments)),
    }
}

fn explain(error: &ValidationError<'_>, arguments: &Value) -> FieldError {
    let place = dotted(error.instance_path().as_str());
    let inside = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    let at = |code, message: String| FieldError::new(&place, code, &message);
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            let name = unexpected.first().map_or("", String::as_str);
            FieldError::new(&inside(name), "unknown_parameter", "there is no such parameter; remove it")
        }
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            FieldError::new(&inside(name), "missing_required_parameter", "this field is required")
        }
        Kind::Type { .. } => at("invalid_type", format!("expected {}", wanted_types(error))),
        Kind::Enum { options } => at("invalid_value", format!("must be one of {options}")),
        Kind::MinItems { limit } => at("out_of_range", format!("needs at least {limit} item(s)")),
        Kind::MaxItems { limit } => at("out_of_range", format!("takes at most {limit} items")),
        Kind::MinProperties { limit } => at("out_of_range", format!("needs at least {limit} entries")),
        Kind::MaxProperties { limit } => at("out_of_range", format!("takes at most {limit} entries")),
        Kind::MinLength { limit: 1 } => at("invalid_value", "must not be empty".to_owned()),
        Kind::MinLength { limit } => at("out_of_range", format!("needs at least {limit} characters")),
        Kind::MaxLength { limit } => at("out_of_range", format!("takes at most {limit} characters")),
        Kind::Minimum { limit } => at("out_of_range", format!("must be at least {limit}")),
        Kind::Maximum { limit } => at("out_of_range", format!("must be at most {limit}")),
        Kind::ExclusiveMinimum { limit } => at("out_of_range", format!("must be more than {limit}")),
        Kind::ExclusiveMaximum { limit } => at("out_of_range", format!("must be less than {limit}")),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => best_branch(context, arguments)
            .unwrap_or_else(|| at("invalid_value", "fits none of the allowed forms".to_owned())),
        kind => at("invalid_value", format!("does not satisfy '{}' of the tool's input schema", kind.keyword())),
    }
}

/// The branch whose complaint is not about the type alone is the one that the caller meant.
fn best_branch(branches: &[Vec<ValidationError<'static>>], arguments: &Value) -> Option<FieldError> {
    let meant =
        branches.iter().filter_map(|errors| errors.first()).find(|error| !matches!(error.kind(), Kind::Type { .. }));
    if let Some(error) = meant {
        return Some(explain(error, arguments));
    }
    let first = branches.iter().filter_map(|errors| errors.first()).next()?;
    let types: Vec<String> = branches.iter().filter_map(|errors| errors.first()).map(wanted_types).collect();
    let place = dotted(first.instance_path().as_str());
    Some(FieldError::new(&place, "invalid_type", &format!("expected {}", types.join(" or "))))
}

fn wanted_types(error: &ValidationError<'_>) -> String {
    use jsonschema::error::TypeKind;
    let word = |name: &str| match name {
        "null" => "null".to_owned(),
        "object" | "array" | "integer" => format!("an {name}"),
        other => format!("a {other}"),
    };
    match error.kind() {
        Kind::Type { kind: TypeKind::Single(name) } => word(&name.to_string()),
        Kind::Type { kind: TypeKind::Multiple(names) } => {
            names.iter().map(|name| word(&name.to_string())).collect::<Vec<_>>().join(" or ")
        }
        kind => format!("what '{}' says", kind.keyword()),
    }
}

/// `/examples/2/label` as `examples[2].label`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.parse::<usize>().is_ok() {
            path.push_str(&format!("[{part}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&part);
        }
    }
    path
}
