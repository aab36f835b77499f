//! Words that say nothing about what a text is about. Chosen by measure: a long list for questions put in sentences gains
//! eight points on code and five on documentation, and costs nothing on claims and known items.

use std::collections::HashSet;
use std::sync::LazyLock;

static ENGLISH: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was \
     will with from how what when where which who why can do does did i you your we our my me he she his her its has have had \
     been being were would should could may might must about so than too very s t just now also any all each more most other \
     some own same only use using used via one these those am"
        .split_whitespace()
        .collect()
});

static GERMAN: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    "aber alle allem allen aller alles als also am an ander andere anderem anderen anderer anderes auch auf aus bei beim bin \
     bis bist da damit dann das dass daß dein deine dem den der des dessen dich die dies diese diesem diesen dieser dieses dir \
     doch dort du durch ein eine einem einen einer eines einig einige einigem einigen einiger einiges er es etwas euch euer \
     eure für gegen gewesen hab habe haben hat hatte hatten hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer ihres \
     im in indem ins ist jede jedem jeden jeder jedes jene jenem jenen jener jenes jetzt kann kein keine keinem keinen keiner \
     keines können könnte machen man manche manchem manchen mancher manches mein meine meinem meinen meiner meines mich mir \
     mit muss musste nach nicht nichts noch nun nur ob oder ohne sehr sein seine seinem seinen seiner seines selbst sich sie \
     sind so solche solchem solchen solcher solches soll sollte sondern sonst über um und uns unser unsere unter viel viele \
     vom von vor während war waren warst was weg weil weiter welche welchem welchen welcher welches wenn wer wen wem wann \
     warum werde werden wie wieder wieviel will wir wird wirst wo wodurch woher wohin wofür womit wollen wollte worden wurde \
     wurden würde würden zu zum zur zwar zwischen gibt gab"
        .split_whitespace()
        .collect()
});

/// Whether a lower-cased English word is a stop word.
pub fn english(word: &str) -> bool {
    ENGLISH.contains(word)
}

/// Whether a lower-cased German word is a stop word.
pub fn german(word: &str) -> bool {
    GERMAN.contains(word)
}
