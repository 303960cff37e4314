//! What field names mean: their words, other words for the same thing, and the kind of value that a name
//! asks for. English, with Spanish, German and French for the commonest.

use std::sync::LazyLock;

/// What a field's name asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Date,
    Time,
    Email,
    Phone,
    Url,
    Ip,
    Path,
    Version,
    Code,
    Year,
    Percent,
    Money,
    Currency,
    Count,
    Person,
    Group,
    Place,
    Street,
    Symbol,
    Quality,
    Phrase,
    Product,
    Job,
}

/// Words of one meaning. The first role that a name's words have, from the last word to the first, counts.
const MEANINGS: &[(Role, &str)] = &[
    (Role::Date, "date day datum fecha jour tag timestamp when"),
    (Role::Date, "due deadline faellig fällig payable zahlbar vencimiento echeance until apply"),
    (Role::Date, "issued issue ausgestellt emitida emision"),
    (Role::Date, "eta expected arrival delivery entrega lieferung livraison"),
    (Role::Date, "born birth birthday birthdate nacimiento geburt dob"),
    (Role::Date, "expiry expires expiration expire renewal renew valid"),
    (Role::Date, "start begin from free available starting"),
    (Role::Date, "end ends until through finish"),
    (Role::Date, "checkin arrival from"),
    (Role::Date, "checkout departure to until"),
    (Role::Date, "appointment meeting visit termin cita"),
    (Role::Date, "timestamp ts"),
    (Role::Date, "purchase bought purchased"),
    (Role::Date, "publish published posted released"),
    (Role::Time, "time hour hora uhrzeit heure uhr"),
    (Role::Time, "departure departs leaves departing salida abfahrt"),
    (Role::Time, "arrival arrives arriving llegada ankunft"),
    (Role::Email, "email mail e-mail correo courriel"),
    (Role::Phone, "phone tel telephone telefono telefon mobile cell call text movil handy"),
    (Role::Phone, "fax telefax"),
    (Role::Url, "url website web link homepage site uri referrer referer"),
    (Role::Ip, "ip ipv4"),
    (Role::Path, "file path filename filepath datei archivo fichier endpoint route"),
    (Role::Version, "version release"),
    (Role::Code, "number no nr num numero nummer id code ref reference referencia referenz digits digit"),
    (Role::Code, "sku serial tracking iban isbn commit hash sha"),
    (Role::Code, "invoice rechnung factura facture receipt"),
    (Role::Code, "key account seat gate plate"),
    (Role::Year, "year año ano jahr annee built"),
    (Role::Percent, "percent percentage rate discount vat tax"),
    (Role::Money, "price precio preis prix cost costs cost fare fee charge asking"),
    (Role::Money, "amount betrag importe montant sum payment payment paid"),
    (Role::Money, "total gesamt gesamtpreis gesamtbetrag"),
    (Role::Money, "salary pay wage gehalt salario salaire hourly"),
    (Role::Money, "balance saldo remaining"),
    (Role::Money, "rent deposit budget utilities subtotal presupuesto refund fine revenue kaution miete tip"),
    (Role::Currency, "currency waehrung währung moneda devise"),
    (Role::Count, "quantity qty count anzahl cantidad quantite units pieces menge amount"),
    (Role::Count, "duration took elapsed dauer duracion"),
    (Role::Count, "port status line linea zeile bytes size retry pid"),
    (Role::Person, "name nombre nom full named"),
    (Role::Person, "customer client cliente kunde buyer bill pedido commande bestellung caller"),
    (Role::Person, "sender from absender remitente signed firma signature"),
    (Role::Person, "recipient to ship empfaenger empfänger destinatario"),
    (Role::Person, "owner assignee assigned responsable responsible handled verantwortlich zustaendig"),
    (Role::Person, "reporter reported reporting author autor written wrote by"),
    (Role::Person, "contact contacto ansprechpartner kontakt call ask"),
    (
        Role::Person,
        "technician engineer driver referee leader led manager host chair organizer patient doctor passenger speaker guest teacher instructor artist",
    ),
    (Role::Person, "attendee attendees present participants asistentes participant teilnehmer participants anwesend"),
    (Role::Person, "user username login usuario benutzer"),
    (Role::Group, "company firm empresa unternehmen organization organisation employer business entreprise societe"),
    (Role::Group, "seller supplier vendor lieferant proveedor vendedor fournisseur verkaeufer verkäufer from"),
    (Role::Group, "shop store tienda laden merchant shopping bought"),
    (Role::Group, "payee beneficiary recipient to"),
    (Role::Group, "payer from"),
    (Role::Group, "brand maker manufacturer marca marke hersteller by"),
    (Role::Group, "carrier courier spediteur transportista shipped via"),
    (Role::Group, "publisher published verlag editorial team agency bank hotel airline school university department"),
    (Role::Place, "city town ciudad stadt ville ort village"),
    (Role::Place, "location place venue lugar lieu site where standort ubicacion station"),
    (Role::Place, "country region land pais pays state"),
    (Role::Place, "origin from departure leaving left"),
    (Role::Place, "destination to"),
    (Role::Street, "address adresse direccion street anschrift"),
    (Role::Symbol, "service component module process logger daemon"),
    (Role::Symbol, "exception error_type exceptiontype"),
    (Role::Symbol, "function method func funcion funktion in at"),
    (Role::Symbol, "variable parameter column field table host hostname thread package branch repository repo"),
    (Role::Quality, "color colour farbe couleur size grösse groesse material talla"),
    (Role::Job, "title position role job occupation cargo puesto stelle poste"),
    (Role::Phrase, "title titulo titel headline name"),
    (Role::Phrase, "message msg"),
    (
        Role::Phrase,
        "problem issue summary message description subject reason betreff asunto motivo grund note comment warning error because",
    ),
    (Role::Phrase, "decision goal action follow objetivo ziel topic next task decided agreed"),
    (Role::Product, "product item model producto produkt produit article artikel modelo device"),
    (Role::Product, "browser os platform vehicle dish course game tool software app"),
];

/// [`MEANINGS`] as stems.
static STEMS: LazyLock<Vec<(Role, Vec<String>)>> =
    LazyLock::new(|| MEANINGS.iter().map(|(role, list)| (*role, list.split(' ').map(stem).collect())).collect());

/// Words that many names have; what stands beside them says more.
const COMMON: [&str; 24] = [
    "date",
    "number",
    "id",
    "name",
    "time",
    "amount",
    "value",
    "code",
    "type",
    "no",
    "price",
    "total",
    "city",
    "address",
    "email",
    "phone",
    "count",
    "datum",
    "fecha",
    "nummer",
    "title",
    "person",
    "reference",
    "required",
];

/// Words that say nothing of a field.
const EMPTY: [&str; 22] = [
    "the", "a", "an", "of", "is", "in", "to", "and", "or", "for", "as", "by", "per", "with", "was", "de", "del", "la",
    "el", "it", "if", "this",
];

/// A word that tells where a field's value stands, with how much it says: 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cue {
    pub(super) stem: String,
    pub(super) weight: f64,
}

/// The words of a name (`dueDate`, `due_date`, `due-date`), in lower case.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for letter in name.chars() {
        let hump = letter.is_uppercase() && before.is_lowercase();
        if (!letter.is_alphanumeric() || hump) && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        before = letter;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A word without accents, case and commonest endings, so that its forms are the same.
pub(super) fn stem(word: &str) -> String {
    let plain: String = word.chars().flat_map(char::to_lowercase).map(without_accent).collect();
    let ends = |ending: &str, least: usize| plain.len() >= least && plain.ends_with(ending);
    let cut = if ends("ies", 5) || ends("ing", 6) || ends("ion", 8) {
        3
    } else if ends("ed", 5) || ends("es", 5) || ends("en", 7) {
        2
    } else if (ends("s", 4) && !plain.ends_with("ss")) || ends("e", 4) || ends("y", 5) {
        1
    } else {
        0
    };
    plain[..plain.len() - cut].to_owned()
}

fn without_accent(letter: char) -> char {
    match letter {
        'á' | 'à' | 'â' | 'ä' | 'ã' | 'å' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'ö' | 'õ' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ñ' => 'n',
        'ç' => 'c',
        other => other,
    }
}

/// How much two stems are the same word: 1, less for a shared beginning, 0.
pub(super) fn likeness(one: &str, other: &str) -> f64 {
    if one == other {
        return 1.0;
    }
    let shared = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let shorter = one.len().min(other.len());
    if shared >= 5 && shared * 3 >= shorter * 2 { 0.6 } else { 0.0 }
}

/// Every role that a word has; of the longest known ending where it is not known itself.
pub(super) fn roles(word: &str) -> impl Iterator<Item = Role> {
    let wanted = stem(word);
    let ending =
        |known: &String| known.len() >= 4 && wanted.len() > known.len() + 2 && wanted.ends_with(known.as_str());
    let mut found: Vec<Role> = STEMS.iter().filter(|list| list.1.contains(&wanted)).map(|list| list.0).collect();
    if found.is_empty() {
        found.extend(STEMS.iter().filter(|list| list.1.iter().any(ending)).map(|list| list.0));
    }
    found.into_iter()
}

/// What tells where the value of a field stands: its words, other words for them, words of its description.
pub(super) fn cues(name: &str, description: &str) -> Vec<Cue> {
    let mut cues: Vec<Cue> = Vec::new();
    let mut add = |stem: &str, weight: f64| match cues.iter_mut().find(|cue| cue.stem == *stem) {
        Some(cue) => cue.weight = cue.weight.max(weight),
        None => cues.push(Cue { stem: stem.to_owned(), weight }),
    };
    let joined = words(name).concat();
    let one = STEMS.iter().any(|list| list.1.contains(&stem(&joined)));
    let own = if one { vec![joined] } else { words(name) };
    let own: Vec<String> = own.into_iter().filter(|word| !EMPTY.contains(&&**word) || name.len() < 6).collect();
    let is_common = |word: &str| COMMON.contains(&word);
    let special = own.iter().any(|word| !is_common(word));
    for word in &own {
        let share = if special && is_common(word) { 0.3 } else { 1.0 };
        let wanted = stem(word);
        add(&wanted, share);
        for (_, list) in STEMS.iter().filter(|list| list.1.contains(&wanted)) {
            for other in list {
                add(other, share * 0.6);
            }
        }
    }
    for word in words(description).iter().filter(|word| word.len() > 2 && !EMPTY.contains(&&***word)) {
        add(&stem(word), if is_common(word) { 0.2 } else { 0.5 });
    }
    cues
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_and_forms_of_a_word_are_one() {
        assert_eq!(words("dueDate"), ["due", "date"]);
        assert_eq!(words("on_vacation-from 2"), ["on", "vacation", "from", "2"]);
        for (one, other) in
            [("Attendees", "attendee"), ("Próxima", "proxima"), ("issued", "issue"), ("price", "Prices")]
        {
            assert_eq!(stem(one), stem(other), "{one} {other}");
        }
        assert!(likeness(&stem("Bestellung"), &stem("bestellnummer")) > 0.5);
        assert!(likeness(&stem("total"), &stem("subtotal")) < 0.1);
    }

    #[test]
    fn roles_come_from_words_and_their_endings() {
        for (word, role) in [("email", Role::Email), ("lieferdatum", Role::Date), ("rechnungsnummer", Role::Code)] {
            assert!(roles(word).any(|found| found == role), "{word}");
        }
    }

    #[test]
    fn the_special_word_of_a_name_weighs_more() {
        let cues = cues("due_date", "");
        let weight = |word: &str| cues.iter().find(|cue| cue.stem == stem(word)).map_or(0.0, |cue| cue.weight);
        assert!(weight("due") > weight("deadline") && weight("deadline") > weight("date"));
    }
}
