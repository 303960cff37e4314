//! What can be typed for `lla decide`: questions of three kinds, kept in the order in which they were typed.

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Args, Command, Error, FromArgMatches};

use super::tools::InputArgs;

/// `lla decide`.
#[derive(Debug, Clone, Args)]
pub struct DecideArgs {
    /// The questions.
    #[command(flatten)]
    pub questions: Questions,
    /// 0 to 1: an answer below this confidence is no answer (exit code 1)
    #[arg(long, value_name = "SHARE")]
    pub threshold: Option<f64>,
    /// Exit with 1 unless the answer is this one (A,B: one of these; LO..HI: a part of a scale); with several
    /// questions give it once for each, in their order
    #[arg(long, value_name = "ANSWER")]
    pub expect: Vec<String>,
    /// The model that decides [default: that of the tier]
    #[arg(long, short, value_name = "NAME")]
    pub model: Option<String>,
    /// Take the labels' scores as they are, without subtracting what they score anyway
    #[arg(long)]
    pub no_calibration: bool,
    /// The text.
    #[command(flatten)]
    pub input: InputArgs,
}

/// Everything that is asked; at least one, in the order of the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions(pub Vec<Asked>);

/// What one flag asks, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A statement that holds or does not.
    Predicate(String),
    /// Labels, and the question that one of them answers.
    Choice(String, String),
    /// Levels, and the question that a place among them answers.
    Score(String, String),
    /// A file with questions as `/v1/decisions` has them, or the JSON itself.
    Listed(String),
}

const PREDICATE: &str = "predicate";
const CHOICE: &str = "choice";
const SCORE: &str = "score";
const LISTED: &str = "questions";

impl Args for Questions {
    fn augment_args(command: Command) -> Command {
        let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::Append);
        command
            .group(ArgGroup::new("asked").args([PREDICATE, CHOICE, SCORE, LISTED]).required(true).multiple(true))
            .arg(flag(PREDICATE).short('p').value_name("STATEMENT").help("Does this hold for the text: yes or no?"))
            .arg(
                flag(CHOICE)
                    .short('c')
                    .num_args(2)
                    .value_names(["LABELS", "QUESTION"])
                    .help("Which of these is the answer? LABELS: A,B,C or A=DESCRIPTION,B"),
            )
            .arg(
                flag(SCORE)
                    .short('s')
                    .num_args(2)
                    .value_names(["LEVELS", "QUESTION"])
                    .help("Where on this scale is the answer? LEVELS: 1..5, or names from low to high as LOW,MID,HIGH"),
            )
            .arg(
                flag(LISTED)
                    .value_name("FILE|JSON")
                    .help("Further questions, as a JSON array in the form of POST /v1/decisions"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Questions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut asked: Vec<(usize, Asked)> = Vec::new();
        for name in [PREDICATE, CHOICE, SCORE, LISTED] {
            let occurrences = matches.get_occurrences::<String>(name).into_iter().flatten();
            let mut places = matches.indices_of(name).into_iter().flatten();
            for values in occurrences {
                let values: Vec<String> = values.cloned().collect();
                let Some(place) = places.by_ref().take(values.len()).last() else { continue };
                asked.extend(question(name, values).map(|question| (place, question)));
            }
        }
        asked.sort_by_key(|(place, _)| *place);
        Ok(Self(asked.into_iter().map(|(_, question)| question).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn question(name: &str, values: Vec<String>) -> Option<Asked> {
    let mut values = values.into_iter();
    let first = values.next()?;
    Some(match name {
        PREDICATE => Asked::Predicate(first),
        CHOICE => Asked::Choice(first, values.next()?),
        SCORE => Asked::Score(first, values.next()?),
        _ => Asked::Listed(first),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        decide: DecideArgs,
    }

    #[test]
    fn questions_stay_in_the_order_of_the_command_line() {
        let line = ["lla", "-s", "1..5", "How bad?", "-p", "one", "file.txt", "--choice", "a,b", "Which?", "-p", "two"];
        let line = Line::try_parse_from(line).expect("a good command line");
        let text = str::to_owned;
        let expected = [
            Asked::Score(text("1..5"), text("How bad?")),
            Asked::Predicate(text("one")),
            Asked::Choice(text("a,b"), text("Which?")),
            Asked::Predicate(text("two")),
        ];
        assert_eq!(line.decide.questions.0, expected);
        assert_eq!(line.decide.input.files, [std::path::PathBuf::from("file.txt")]);
        assert!(Line::try_parse_from(["lla", "file.txt"]).is_err(), "nothing is asked");
    }
}
