import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { languageOf } from "./language";

const SAID: readonly (readonly [string, string])[] = [
  ["en", "The sea is calm tonight. The tide is full, and the moon lies fair upon the straits; on the French coast the light gleams and is gone."],
  ["de", "Die See ist heute ruhig. Die Flut ist hoch, der Mond liegt hell über der Meerenge, und an der Küste sind die Lichter nicht zu sehen."],
  ["fr", "La mer est calme ce soir. La marée est haute, la lune brille sur le détroit et la lumière disparaît sur la côte dans le lointain."],
  ["es", "El mar está en calma esta noche. La marea está alta, la luna brilla sobre el estrecho y la luz desaparece en la costa."],
  ["pt", "O mar está calmo esta noite. A maré não é alta, mas a lua brilha sobre o estreito e a luz desaparece na costa do norte."],
  ["it", "Il mare è calmo stasera. La marea è alta, la luna splende sullo stretto e la luce non si vede più che da lontano."],
  ["nl", "De zee is kalm vanavond. Het is hoogtij, de maan schijnt op de zeestraat en het licht is aan de kust niet te zien."],
  ["sv", "Havet är lugnt i kväll. Det är högvatten, och månen lyser över sundet så att ljuset inte syns från den andra kusten."],
  ["pl", "Morze jest dziś spokojne. To jest przypływ, księżyc świeci nad cieśniną i nie widać światła na wybrzeżu, które się kryje za mgłą."],
  ["ru", "Море сегодня спокойно. Прилив высок, и луна светит над проливом, но на берегу не видно огней, как это было в другие ночи."],
  ["uk", "Море сьогодні спокійне. Приплив високий, і місяць світить над протокою, але на березі не видно вогнів, як це було в інші ночі."],
  ["tr", "Deniz bu gece çok sakin. Gelgit yüksek ve ay boğazın üzerinde bir fener gibi parlıyor; ama kıyıda ışık yok, ne de bir ses var."],
  ["ar", "البحر هادئ في هذه الليلة، و القمر يضيء على المضيق، ثم يختفي الضوء من الساحل إلى أن يعود مع الفجر."],
  ["fa", "دریا امشب آرام است و ماه بر تنگه نور خود را می افشاند، اما این نور از ساحل دیده نمی شود که در مه است."],
  ["he", "הים רגוע הלילה והירח מאיר מעל המצר."],
  ["hi", "आज रात समुद्र शांत है और चाँद जल पर चमक रहा है, पर तट से यह नहीं दिखता कि रोशनी कहाँ से आ रही है।"],
  ["ja", "今夜の海は静かです。月は海峡の上に輝いています。"],
  ["zh", "今夜大海平静。潮水高涨，月亮照耀着海峡。"],
  ["ko", "오늘 밤 바다는 고요합니다. 달이 해협 위에 빛납니다."],
  ["el", "Η θάλασσα είναι ήρεμη απόψε."],
];

describe("languageOf", () => {
  it.each(SAID)("knows %s", (language, text) => {
    expect(languageOf(text)).toBe(language);
  });

  it.each([
    "",
    "OK.",
    "1. foo_bar = 3\n2. x -> y",
    "Apple 12 Banana 13 Orange 14 Kiwi 15 Mango 16 Papaya 17 Melon 18",
    "```python\nfor the in of: and = is  # that this with from you\n```",
    "```\nthe of and to in is that it for on with",
    // Danish and Norwegian share almost every common word.
    "Det er en god dag, og jeg kan se at det er sol på den store båten.",
    "The sea is calm and the moon is bright. Die See ist ruhig und der Mond ist hell.",
  ])("says nothing where it is not certain: %j", (text) => {
    expect(languageOf(text)).toBeUndefined();
  });

  it("is not misled by code and addresses within a text", () => {
    const text = "Installieren Sie `the of and to in is that it for on with` und rufen Sie dann die Seite auf: sie ist nicht leer.";
    expect(languageOf(`${text} https://example.com/the/of/and`)).toBe("de");
  });

  it("ends for every text, and names a language or none", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        expect(languageOf(text) ?? "en").toMatch(/^[a-z]{2}$/);
      }),
    );
  });
});
