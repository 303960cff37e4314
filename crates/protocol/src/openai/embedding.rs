//! `POST /v1/embeddings`: request and answer.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::chat::required_model;
use super::completion::parse_prompt;
use super::{Prompt, harmless};
use crate::fields::{FieldError, Fields};

/// Most inputs of one request, as the OpenAI API has it.
const MAX_INPUTS: usize = 2048;

/// A request for embeddings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EmbeddingRequest {
    /// Which model.
    pub model: String,
    /// Texts or token lists, at least one; none of them is empty.
    pub input: Prompt,
    /// How vectors are written.
    pub encoding_format: EncodingFormat,
    /// Numbers per vector; `None`: as many as the model has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u32>,
    /// Fields that are not acted on here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// How vectors are written in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EncodingFormat {
    /// As a list of numbers.
    #[default]
    Float,
    /// As the base64 text of little-endian 32-bit floats: what the official clients ask for.
    Base64,
}

impl EmbeddingRequest {
    /// Reads a request body.
    ///
    /// # Errors
    /// Names the first field that is missing, of a wrong type or out of range.
    pub fn parse(body: &[u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::from_body(body)?;
        let model = required_model(&mut fields)?;
        let input = fields.take("input").ok_or_else(|| fields.missing("input"))?;
        let is_list = matches!(&input, Value::Array(items) if !items.iter().all(Value::is_number));
        let input = parse_prompt("input", input)?;
        check_inputs(&input, is_list)?;
        let encoding_format = match fields.string("encoding_format")?.as_deref() {
            None | Some("float") => EncodingFormat::Float,
            Some("base64") => EncodingFormat::Base64,
            Some(_) => {
                return Err(FieldError::new("encoding_format", "invalid_value", "must be 'float' or 'base64'"));
            }
        };
        let dimensions = fields.count("dimensions", 1)?;
        harmless::check(&fields)?;
        Ok(Self { model, input, encoding_format, dimensions, rest: fields.rest() })
    }
}

fn check_inputs(input: &Prompt, is_list: bool) -> Result<(), FieldError> {
    if input.len() > MAX_INPUTS {
        let message = format!("at most {MAX_INPUTS} inputs are allowed, got {}", input.len());
        return Err(FieldError::new("input", "out_of_range", &message));
    }
    let empty = match input {
        Prompt::Texts(texts) => texts.iter().position(String::is_empty),
        Prompt::Tokens(lists) => lists.iter().position(Vec::is_empty),
    };
    match empty {
        None => Ok(()),
        Some(index) => {
            let path = if is_list { format!("input[{index}]") } else { "input".to_owned() };
            Err(FieldError::new(&path, "invalid_value", "must not be empty"))
        }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingList {
    /// Always `list`.
    #[serde(default = "object_list")]
    pub object: String,
    /// One per input, in their order.
    pub data: Vec<Embedding>,
    /// The model that was used.
    #[serde(default)]
    pub model: String,
    /// Token counts.
    #[serde(default)]
    pub usage: EmbeddingUsage,
}

/// The vector of one input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    /// Always `embedding`.
    #[serde(default = "object_embedding")]
    pub object: String,
    /// Which input.
    pub index: u32,
    /// The vector.
    pub embedding: Vector,
}

/// A vector as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Vector {
    /// See [`EncodingFormat::Float`].
    Floats(Vec<f32>),
    /// See [`EncodingFormat::Base64`].
    Base64(String),
}

/// Tokens of all inputs together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingUsage {
    /// Tokens, those that the model adds included.
    pub prompt_tokens: u32,
    /// The same: nothing is generated.
    pub total_tokens: u32,
}

impl EmbeddingList {
    /// The answer with `vectors` in the order of the inputs.
    #[must_use]
    pub fn new(model: &str, vectors: Vec<Vec<f32>>, prompt_tokens: u32, format: EncodingFormat) -> Self {
        let entry = |(index, vector)| Embedding {
            object: object_embedding(),
            index,
            embedding: Vector::written(vector, format),
        };
        Self {
            object: object_list(),
            data: (0..).zip(vectors).map(entry).collect(),
            model: model.to_owned(),
            usage: EmbeddingUsage { prompt_tokens, total_tokens: prompt_tokens },
        }
    }
}

impl Vector {
    /// Writes a vector.
    #[must_use]
    pub fn written(vector: Vec<f32>, format: EncodingFormat) -> Self {
        match format {
            EncodingFormat::Float => Self::Floats(vector),
            EncodingFormat::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                Self::Base64(BASE64_STANDARD.encode(bytes))
            }
        }
    }

    /// Reads a vector; `None` when the text is no base64 of 32-bit floats.
    #[must_use]
    pub fn read(self) -> Option<Vec<f32>> {
        match self {
            Self::Floats(vector) => Some(vector),
            Self::Base64(text) => {
                let bytes = BASE64_STANDARD.decode(text).ok()?;
                let (numbers, rest) = bytes.as_chunks::<4>();
                rest.is_empty().then(|| numbers.iter().map(|&number| f32::from_le_bytes(number)).collect())
            }
        }
    }
}

fn object_list() -> String {
    "list".to_owned()
}

fn object_embedding() -> String {
    "embedding".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<EmbeddingRequest, FieldError> {
        EmbeddingRequest::parse(json.as_bytes())
    }

    #[test]
    fn inputs_come_in_four_shapes() {
        let texts = |texts: &[&str]| Prompt::Texts(texts.iter().map(|&text| text.to_owned()).collect());
        for (input, wanted) in [
            (r#""a""#, texts(&["a"])),
            (r#"["a","b"]"#, texts(&["a", "b"])),
            ("[1,2]", Prompt::Tokens(vec![vec![1, 2]])),
            ("[[1],[2,3]]", Prompt::Tokens(vec![vec![1], vec![2, 3]])),
        ] {
            let request = parse(&format!(r#"{{"model":"m","input":{input},"user":"u"}}"#)).expect(input);
            assert_eq!((request.input, request.encoding_format), (wanted, EncodingFormat::Float), "{input}");
        }
        let request = parse(r#"{"model":"m","input":"a","encoding_format":"base64","dimensions":8}"#).expect("good");
        assert_eq!((request.encoding_format, request.dimensions), (EncodingFormat::Base64, Some(8)));
    }

    #[test]
    fn errors_name_the_field_and_the_place() {
        let many = format!(r#"{{"model":"m","input":[{}]}}"#, vec!["\"a\""; 2049].join(","));
        for (json, param, code) in [
            (r#"{"model":"m"}"#, "input", "missing_required_parameter"),
            (r#"{"model":"m","input":""}"#, "input", "invalid_value"),
            (r#"{"model":"m","input":[]}"#, "input", "invalid_value"),
            (r#"{"model":"m","input":["a",""]}"#, "input[1]", "invalid_value"),
            (r#"{"model":"m","input":[[1],[]]}"#, "input[1]", "invalid_value"),
            (r#"{"model":"m","input":["a",1]}"#, "input", "invalid_type"),
            (r#"{"model":"m","input":"a","dimensions":0}"#, "dimensions", "out_of_range"),
            (r#"{"model":"m","input":"a","encoding_format":"hex"}"#, "encoding_format", "invalid_value"),
            (r#"{"model":"m","input":"a","user":1}"#, "user", "invalid_type"),
            (&many, "input", "out_of_range"),
        ] {
            let error = parse(json).expect_err(json);
            assert_eq!((error.param.as_deref(), error.code), (Some(param), code), "{}", error.message);
        }
    }

    #[test]
    fn base64_is_of_little_endian_floats() {
        let vector = vec![1.0_f32, -2.5, 0.0];
        let written = Vector::written(vector.clone(), EncodingFormat::Base64);
        assert_eq!(written, Vector::Base64("AACAPwAAIMAAAAAA".to_owned()));
        assert_eq!(written.read(), Some(vector));
        assert_eq!(Vector::Base64("AAA=".to_owned()).read(), None);
        assert_eq!(Vector::Base64("?".to_owned()).read(), None);
    }

    #[test]
    fn the_answer_has_the_documented_shape() {
        let list = EmbeddingList::new("m", vec![vec![0.5, 1.0]], 3, EncodingFormat::Float);
        assert_eq!(
            serde_json::to_string(&list).expect("json"),
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,1.0]}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}"#
        );
    }
}
