// Which language a text is in, where that is certain: a screen reader must not read German with an English voice.
//
// No library: the small ones (franc, tinyld) always name some language, and took Danish for Swedish and Russian for
// Serbian with confidence; those that are right weigh more than the whole UI. A wrong voice is worse than that of the
// page, so this knows fewer languages and says nothing where it is not sure: a script that one language alone is written
// in, or many of a language's commonest words and few of any other's.

/** The share of the letters that must be of one script. */
const MOST = 0.6;
/** The beginning tells the language; what follows need not be read. */
const READ = 4_000;
const LEAST_LETTERS = 20;
/** Of scripts written without spaces, whose characters say more. */
const LEAST_SIGNS = 6;
const LEAST_HITS = 5;
const LEAST_SHARE = 0.18;
/** How far the language must be ahead of the next: relatives share many words. */
const LEAD = 1.4;

const OWN_SCRIPT: readonly (readonly [RegExp, string])[] = [
  [/\p{Script=Hangul}/gu, "ko"],
  [/\p{Script=Greek}/gu, "el"],
  [/\p{Script=Hebrew}/gu, "he"],
  [/\p{Script=Thai}/gu, "th"],
  [/\p{Script=Georgian}/gu, "ka"],
  [/\p{Script=Armenian}/gu, "hy"],
  [/\p{Script=Tamil}/gu, "ta"],
  [/\p{Script=Telugu}/gu, "te"],
];

const WORDS: Readonly<Record<string, string>> = {
  en: "the of and to a in is that it for on with as are this by be from or an at not you can which have was but they its will",
  de: "der die das und ist in zu den von mit ein eine auf für nicht sich im es auch dem des als wird sind oder an dass aus bei nach wie man aber kann einen einer",
  fr: "le la les de des et est un une en du que pour dans qui sur pas au par plus ce il avec sont ou se elle cette aux être nous vous mais leur a d l",
  es: "el la los las de y en que es un una por con para del se no al lo como más su o son pero este esta está hay muy también",
  pt: "o a os as de e em que é um uma por com para do da não se no na dos das ao mais como mas foi são ou seu sua também está",
  it: "il la i le di e che è un una in per con non del della si al dei gli da sono lo nel come più alla anche ma questo questa o le delle",
  nl: "de het een en van is in dat op te voor met zijn niet die aan er ook als maar om bij naar door dan je wordt uit kan deze of worden",
  sv: "och att det är som en på av för med den till inte om ett de har jag kan så var men från eller när också där ska",
  da: "og at det er som en på af for med den til ikke om et de har jeg kan så var men fra eller når også der skal hvad blev",
  nb: "og at det er som en på av for med den til ikke om et de har jeg kan så var men fra eller når også der skal hva ble",
  pl: "i w na z że się nie do jest to jak o po od za przez co ale dla są tym być może oraz lub który która ich jego przy",
  cs: "a v na je se že to s z do o k i ve pro jako by nebo jsou ale po od které který jeho podle také při byl může není",
  tr: "ve bir bu da de için ile çok daha olan olarak gibi en ne kadar var değil ama sonra olan veya her o şey ise hem bile",
  fi: "ja on ei että se oli hän mutta kun niin tai ovat myös joka jos kuin sen voi mitä ole tämä sitä ne jotka hyvin vain",
  hu: "a az és hogy nem is egy van ez de meg azt csak már mint el még vagy ha lehet volt ezt amely ami mert nagyon",
  ro: "și de în la cu a o că nu pe este un se din pentru mai care sunt ce sau fi ca al au prin după acest dar",
  id: "yang dan di ini itu dengan untuk dari tidak dalam pada adalah akan juga ke atau oleh bisa dapat karena seperti ada saya lebih",
  vi: "và của là có không được cho các một những này với trong người để khi đã từ như cũng trên rất vào ra thì bạn",
  ru: "и в не на что с по это как его но из для к от за так же все он она они был или у о при было быть мы вы если",
  uk: "і в не на що з до як це та але його від за для по так же про він вона вони був або у при було бути ми ви якщо є й",
  bg: "и в не на че с по това като го но от за да е се са ще той тя те беше или при беше ние вие ако който",
  ar: "في من على إلى أن هذا هذه التي الذي عن مع ما لا هو هي كان أو و كما قد كل بعد بين ذلك لم ثم",
  fa: "و در به از که این است را با برای آن یک می شود خود تا بر هم نیز یا کرد شده بود های اما باید هر",
  ur: "کے میں کی ہے اور سے کا کو نے پر یہ کہ ہیں کر بھی اس ایک نہیں تو وہ ہو تھا جو گیا لیے",
  hi: "के में की है और से का को ने पर यह कि हैं कर भी इस एक नहीं तो वह हो था जो गया लिए",
  mr: "आहे आणि या मध्ये हे ते की तो आहेत असे होते नाही एक ही च्या साठी पण किंवा त्या जे",
};

const INDEX = new Map<string, string[]>();
for (const [language, words] of Object.entries(WORDS)) {
  for (const word of new Set(words.split(" "))) INDEX.set(word, [...(INDEX.get(word) ?? []), language]);
}

/** A tag for `lang`; undefined where it is not certain. */
export function languageOf(markdown: string): string | undefined {
  const text = prose(markdown.slice(0, READ));
  const letters = count(text, /\p{L}/gu);
  const kana = count(text, /[\p{Script=Hiragana}\p{Script=Katakana}]/gu);
  const han = count(text, /\p{Script=Han}/gu);
  if (han + kana >= LEAST_SIGNS && han + kana > letters * MOST) {
    if (kana > (han + kana) / 10) return "ja";
    return kana === 0 ? "zh" : undefined;
  }
  for (const [script, language] of OWN_SCRIPT) {
    const own = count(text, script);
    if (own >= LEAST_SIGNS && own > letters * MOST) return language;
  }
  return letters < LEAST_LETTERS ? undefined : byWords(text);
}

function byWords(text: string): string | undefined {
  const words = text.toLowerCase().match(/[\p{L}\p{M}\u200c]+/gu) ?? [];
  const hits = new Map<string, number>();
  for (const word of words) for (const language of INDEX.get(word) ?? []) hits.set(language, (hits.get(language) ?? 0) + 1);
  const [first, second] = [...hits].sort(([, a], [, b]) => b - a);
  if (!first || first[1] < LEAST_HITS || first[1] < words.length * LEAST_SHARE) return undefined;
  return first[1] < (second?.[1] ?? 0) * LEAD ? undefined : first[0];
}

/** Without code, formulas and addresses, which are in no language. */
function prose(markdown: string): string {
  return markdown
    .replace(/^ {0,3}(`{3,}|~{3,})[\s\S]*?(?:^ {0,3}\1|$(?![\s\S]))/gm, " ")
    .replace(/`[^`\n]*`|\$[^$\n]*\$|https?:\/\/\S+|\]\([^)\n]*\)/g, " ");
}

const count = (text: string, what: RegExp) => text.match(what)?.length ?? 0;
