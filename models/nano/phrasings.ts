/**
 * How people ask for things: for each skill, phrasings in three parts with a rule between them.
 *
 * 1. Used in training only.
 * 2. Used with the endings below; of all the ways that a sentence can then come out, two thirds are used in training and one
 *    third is held out: bench/nano asks in those.
 * 3. Forms of sentence that training lacks altogether, for the harder figure of bench/nano.
 *
 * `[a|b|]` picks one, `{x}` is filled in. `<ask>` and `<get>` are openings that go with any question, `<do>` goes before any
 * order.
 */
export interface Phrasings {
  readonly train: ReadonlyArray<string>
  readonly split: ReadonlyArray<string>
  readonly novel: ReadonlyArray<string>
}

/** What people add to a request without changing it. */
export const endings: ReadonlyArray<string> = [
  "",
  ", please",
  " for me",
  " now",
  " right now",
  " for me, please",
  " if you can",
  ", would you",
  " this time",
  " at once"
]

const openings: Record<string, string> = {
  /** Before a question in indirect speech: "… how many lines a.txt has". */
  ask: "[Tell me|Say|Show me|Let me know|Find out|Work out|Figure out|Determine|Report|Check|See|I want to know|I would like to know|I'd like to know|I need to know|I wonder]",
  /** Before a thing that is wanted: "… the number of lines in a.txt". */
  get: "[Give me|Get|Get me|Find|Fetch|Report|Work out|Compute|Calculate|Determine|Figure out|I need|I want|I'd like|Let me have|Show|Show me|Tell me|Print|What is|What's|Return|Look up]",
  /** Before a thing to be seen: "… the first line of a.txt". */
  show: "[Show|Show me|Print|Display|Output|Read|Give me|Get|Get me|Let me see|Let me read|Quote|Recite|Tell me|I want to see|I'd like to see|I want|I need|What is|What's]",
  /** Before an order, or nothing at all. */
  do: "[|||||||I want you to |I'd like you to |Go ahead and |Make sure to |Your job is to ]"
}

const lines = (text: string): ReadonlyArray<string> =>
  text
    .split("\n")
    .map((l) => l.trim().replace(/<(\w+)>/g, (_, name: string) => openings[name] ?? ""))
    .filter((l) => l !== "")

const p = (text: string): Phrasings => {
  const [train = "", split = "", novel = ""] = text.split("---")
  return {
    train: lines(train),
    split: lines(split).map((l) => `${l}[${endings.join("|")}]`),
    novel: lines(novel)
  }
}

export const number = p(`
  How many {k} [are|are there] [in|inside|within] {f}
  How many {k} does {f} [have|contain|hold|consist of|come to]
  <ask> how many {k} [are in|there are in|are inside|you find in] {f}
  <ask> how many {k} {f} [has|contains|holds|has got|consists of|is made of]
  <get> the [number|count|total number|total] of {k} [in|of|inside|within|from|for] {f}
  <get> the {k1} [count|total] [of|for|in] {f}
  <do>[Count|Count up|Tally|Add up] [the|all|all the|] {k} [in|of|inside|within|that are in] {f}
  <do>[Find|Get|Determine] [the number of|how many] {k} [in|of|are in] {f}
  {f}: how many {k}
  {f}: count the {k}
  [Open|Look at|Look into|Take|Check|Go through] {f} and [count its {k}|tell me how many {k} it has|count the {k}|say how many {k} it has]
  [In|For] {f}, [count the {k}|how many {k} are there|tell me the number of {k}]
  how many {k} [in|has|are in] {f}
  [{k1}|the {k1}] count of {f}
  ---
  {f} has how many {k}
  What number of {k} does {f} have
  I wonder what the {k1} count of {f} is
  Take {f} and find the number of {k}
  ---
  Can you count the {k} that {f} has
`)

export const sum = p(`
  <do>[Sum|Sum up|Total|Add up|Add together|Add] [the|all|all the|] [numbers|values|figures] [in|of|from|inside] {f}
  <get> the [sum|total|grand total] of [the|all|all the|] [numbers|values|figures] [in|of|from|inside] {f}
  <get> the [sum|total] of {f}
  <ask> what the [numbers|values] in {f} [add up to|come to|sum to|sum up to]
  <ask> how much the [numbers|values] in {f} [come to|add up to|make]
  What do the [numbers|values|figures] [in|of] {f} [add up to|sum to|come to|make]
  How much do the [numbers|values] in {f} [add up to|come to|make]
  What does {f} [sum up to|add up to|come to]
  <do>[Sum|Total|Add up] {f}
  [Open|Take|Look at|Go through] {f} and [add up the numbers|sum its numbers|give me the total|total it]
  {f}: [sum of the numbers|add up the numbers|total]
  I need the [numbers|values] [in|of|from] {f} [added up|added together|summed|totalled]
  ---
  What does {f} make when the numbers are added up
  The total of all numbers in {f}
  See what the sum of the numbers in {f} is
  ---
  Have the numbers of {f} added up
`)

export const mean = p(`
  <get> the [average|mean|average value|mean value] of [the numbers|the values|all numbers|all the numbers] in {f}
  <get> the [average|mean|average value|mean value] of {f}
  <ask> what the [average|mean] of [the numbers in|the values in|] {f} is
  <do>[Average|Take the mean of|Take the average of] the [numbers|values|figures] [in|of] {f}
  <get> the [average|mean] [number|value|figure] [in|of|for] {f}
  {f}: [average|mean] of the [numbers|values]
  [Open|Take|Look at] {f} and [give me the average|find the mean|average its numbers]
  What do the numbers in {f} average
  I need the [numbers|values] of {f} averaged
  ---
  The average of the numbers in {f}
  For {f}, work out the average of the numbers
  Take all numbers of {f} and find their average
  ---
  On average, how much is a number in {f}
`)

export const max = p(`
  <get> the [largest|biggest|highest|greatest|maximum|top] [number|value|figure] [in|of|from|inside] {f}
  <get> the [maximum|max] of {f}
  <ask> [what|which] the [largest|biggest|highest|greatest] [number|value] in {f} is
  [Which|What] [number|value] [in|of] {f} is the [largest|biggest|highest|greatest]
  <do>[Pick|Pick out|Look for|Search for] the [largest|biggest|highest|greatest] [number|value] [in|of] {f}
  {f}: [largest|biggest|highest] [number|value]
  How [large|big|high] do the [numbers|values] in {f} get
  [Open|Take|Look at] {f} and [find the largest number|give me the biggest number|pick the highest value]
  ---
  The largest number in {f}
  See which number of {f} is the biggest
  Of all the numbers in {f}, which is the highest
  ---
  How high do the values of {f} get
`)

export const min = p(`
  <get> the [smallest|lowest|least|minimum] [number|value|figure] [in|of|from|inside] {f}
  <get> the [minimum|min] of {f}
  <ask> [what|which] the [smallest|lowest|least] [number|value] in {f} is
  [Which|What] [number|value] [in|of] {f} is the [smallest|lowest|least]
  <do>[Pick|Pick out|Look for|Search for] the [smallest|lowest|least] [number|value] [in|of] {f}
  {f}: [smallest|lowest] [number|value]
  How [small|low] do the [numbers|values] in {f} get
  [Open|Take|Look at] {f} and [find the smallest number|give me the lowest number|pick the least value]
  ---
  The smallest number in {f}
  See which number of {f} is the lowest
  Of all the numbers in {f}, which is the smallest
  ---
  How low do the values of {f} get
`)

export const column = p(`
  <do>[Sum|Sum up|Add up|Total|Add together|Add] [the numbers in|the values in|] {c} [of|in|from] {f}
  <get> the [sum|total] of {c} [in|of|from] {f}
  <ask> what {c} [of|in] {f} [adds up to|comes to|sums to]
  What does {c} [of|in] {f} [add up to|come to|sum to|make]
  [Open|Take|Look at] {f} and [add up|sum|total] {c}
  In {f}, [sum|add up|total] {c}
  I need {c} [of|in] {f} [added up|summed|totalled]
  {f}: [sum|total] of {c}
  How much is {c} of {f} [in total|in all|together]
  ---
  The total of {c} in {f}
  Of {f}, add up {c}
  Take {c} of {f} and add it up
  ---
  For {f}, what is the sum of {c}
`)

export const write = p(`
  <do>[Write|Save|Put|Store|Place|Drop] {t} [to|in|into] {f}
  <do>[Write|Save|Put|Store|Drop] {t} [to|in|into] [a file|a new file|the file] [called|named] {f}
  <do>[Create|Make|Start] [a file|a new file|the file] [called|named] {f} [with|containing|that says|holding|that contains] {t}
  <do>[Create|Make] {f} [with|containing|that says|saying|holding] {t} [in it|inside|]
  <do>[Create|Make] {f} with the [text|content|words|line] {t}
  <do>[Write|Save|Put|Store] the [text|words|line|message|note] {t} [to|in|into] {f}
  <do>[Put|Place] the [text|words] {t} [in|into] [the file|] {f}
  <do>[Make|Let|Have] {f} [say|contain|read|hold] {t}
  <do>[Set|Change] the [content|contents|text] of {f} to {t}
  <do>[Fill|Overwrite] {f} with {t}
  I want [a file|] {f} [that says|with the text|containing|to contain|to say] {t}
  {f} should [contain|say|read|hold] {t}
  Open a new file {f} and [write|put] {t} [in it|into it]
  ---
  There should be a file {f} that says {t}
  I need {f} to contain the text {t}
  Into {f}, write {t}
  ---
  Start {f} with the words {t} in it
`)

export const read = p(`
  What does {f} [say|contain|hold|read]
  <do>[Read|Show|Print|Display|Output|Open|Quote|Recite] {f}
  <show> the [content|contents|text] [of|in] {f}
  <show> [what {f} says|what is in {f}|what {f} contains|what is written in {f}]
  <ask> what [is in|is inside|is written in] {f}
  <ask> what {f} [says|contains|holds|reads]
  What is [in|inside|written in] {f}
  What [text|content] [is in|does] {f} [have|hold|]
  <do>[Read|Open|Print] {f} and [tell me what it says|show it|give me its content|show me the text|quote it]
  [Read|Show|Print|Display] [me|] {f}
  cat {f}
  {f}: what does it say
  [show|print|read] {f} to me
  [Show|Print] {f} [on the screen|here]
  ---
  The content of {f}
  Take {f} and show its text
  Have a look at {f} and tell me what it says
  ---
  Can you read {f} to me
`)

export const which = p(`
  [Which|What] file [mentions|contains|has|includes|holds|talks about] {t}
  <do>[Find|Locate|Look for|Search for|Hunt down] the file [that|which] [mentions|contains|has|includes|holds|talks about] {t}
  <ask> [which|what] file [mentions|contains|has|includes|holds] {t}
  <get> the [name of the file|file] [that|which] [mentions|contains|has|holds] {t}
  [In which|In what] file [is|does] {t} [appear|occur|written|mentioned|stand]
  [Where|In which file] [is|can I find|do I find] {t} [mentioned|written|used|]
  Where does {t} [appear|occur|show up|stand]
  <do>[Search|Go through|Look through] [the files|the workspace|all files|all the files|everything|] for {t} and [name the file|tell me the file|say where it is|tell me where it is]
  <do>[Look|Search] for the file [with|containing|holding] {t}
  grep for {t}
  Which of the files [mentions|contains|has|talks about] {t}
  ---
  The file that mentions {t}
  See in which file {t} is
  There is a file with {t} in it: which one
  ---
  Of all the files, which has {t}
`)

export const edit = p(`
  <do>[Replace|Change|Swap|Exchange] {a} [with|for|by] {b} in {f}
  <do>[Change|Rename|Turn|Correct] {a} [to|into] {b} in {f}
  In {f}, [replace|change|swap] {a} [with|to|for|by] {b}
  In {f}, [put|write|use|substitute] {b} [for|instead of|in place of] {a}
  <do>[Edit|Update|Modify|Fix|Correct] {f} [and|to|so as to|:] [replace|change] {a} [with|to] {b}
  <do>[Edit|Open] {f} and [change|replace|swap] {a} [to|with|for] {b}
  <do>[Make|Turn] {a} into {b} in {f}
  <do>[Put|Write|Use] {b} [instead of|in place of] {a} in {f}
  <do>Substitute {b} for {a} in {f}
  {f} [says|has] {a}: [change|correct] it to {b}
  {f} should [say|have|read] {b} [instead of|rather than|in place of] {a}
  Where {f} [says|has] {a}, [put|write|make it say] {b}
  ---
  I want {b} instead of {a} in {f}
  Let {f} say {b} where it has {a}
  Take {f} and change {a} to {b}
  ---
  There is {a} in {f}: make it {b}
`)

export const list = p(`
  <do>[List|Show|Print|Name] [the|all|all the|] files
  [What|Which] files are [here|there|in the workspace|in this folder|in the current folder]
  [What|Which] files [do we have|do I have|are there] [here|in the workspace|in this folder|]
  <show> [the|all the|a list of the|the list of] files [here|in the workspace|in this folder|]
  <do>[List|Show] [everything|what is] in [the workspace|this folder|the current folder|here]
  <ask> [what|which] files are [here|in the workspace|in this folder]
  What [is|do we have] in [the workspace|this folder]
  <get> the names of [the|all|all the] files
  ls
  ---
  The names of the files here
  See which files there are
  Go through this folder and name the files
  ---
  Which files does this folder have
`)

export const listFolder = p(`
  <do>[List|Show|Print|Name] [the|all|all the|] files [in|of|under|inside] [the folder|folder|the directory|] {d}
  [What|Which] files are [in|inside|under] [the folder|folder|the directory|] {d}
  <show> [the|all the|a list of the|the list of] files [in|of|inside] [the folder|the directory|] {d}
  <show> what is in [the folder|the directory] {d}
  <ask> [what|which] files are [in|inside] [the folder|] {d}
  [What|Which] files does [the folder|the directory|] {d} [have|hold|contain]
  What is [in|inside] [the folder|the directory|folder] {d}
  <do>[List|Show] [the folder|the directory|] {d}
  <get> the names of the files [in|of] [the folder|] {d}
  ls {d}
  ---
  The names of the files in {d}
  See which files the folder {d} has
  Go through the folder {d} and name the files
  ---
  In the folder {d}, which files are there
`)

export const calc = p(`
  <do>[Compute|Calculate|Work out|Evaluate|Figure out|Solve|Find] {e}
  What is {e}
  What's {e}
  How much is {e}
  What does {e} [equal|make|give|come to]
  What do [you|I|we] get for {e}
  <ask> [what|how much] {e} is
  <get> {e}
  <get> the [result|value|answer] of {e}
  <do>[Use|Take] the calculator [for|to work out|to compute] {e}
  {e} is how much
  ---
  The result of {e}
  See what {e} comes to
  Can you calculate {e} for me
  ---
  How much do I get for {e}
`)

export const copy = p(`
  <do>[Copy|Duplicate|Clone|Replicate] {a} [to|as|into|over to] {b}
  <do>[Make|Create] a [copy|duplicate] of {a} [called|named|at|in|as] {b}
  <do>[Back up|Backup] {a} [to|as|in|into] {b}
  <do>[Save|Keep|Store|Put] a [copy|duplicate|backup] of {a} [as|under the name|under|in|at|to] {b}
  <do>[Create|Make] {b} as a[n exact|] copy of {a}
  <do>[Make|Create] {b} from {a}
  cp {a} {b}
  I [need|want] {a} copied [to|as|over to|into] {b}
  I [need|want] a copy of {a} [called|named|in] {b}
  {b} should be a copy of {a}
  Take {a} and copy it to {b}
  ---
  A copy of {a} under the name {b}
  Let {b} be a copy of {a}
  There should be a copy of {a} called {b}
  ---
  Have {a} copied into {b}
`)

export const move = p(`
  <do>[Rename|Move|Retitle] {a} [to|as|into|over to] {b}
  <do>[Change|Set] the name of {a} to {b}
  mv {a} {b}
  <do>[Give] {a} the [new name|name] {b}
  <do>[Let] {a} be [called|named] {b}
  <do>[Make|Call] {a} {b} [from now on|]
  {a} should be [called|named] {b} [from now on|instead|]
  I want {a} [renamed|moved] to {b}
  I want {a} to be [called|named] {b}
  <do>Make {b} the [new|] name of {a}
  Take {a} and rename it to {b}
  ---
  The new name of {a} should be {b}
  Have {a} renamed to {b}
  {a} needs the name {b}: rename it
  ---
  I need {a} to have the name {b}
`)

export const remove = p(`
  <do>[Delete|Remove|Erase|Wipe|Discard] {a}
  <do>[Get rid of|Throw away|Throw out|Drop|Clean up] {a}
  rm {a}
  <do>[Delete|Remove|Erase] [the file called|the file named] {a}
  <do>[Remove|Delete|Erase] {a} [from the workspace|from here|from this folder]
  <do>[Make] {a} [disappear|go away]
  I [no longer need|do not need|don't need|no longer want] {a}[: delete it|, remove it|, so delete it|: get rid of it]
  {a} [can go|is not needed|is no longer needed][, delete it|: remove it|, so remove it]
  I want {a} [deleted|removed|gone|erased]
  {a} should [go|be deleted|be removed|disappear]
  ---
  Have {a} deleted
  {a} is no longer wanted: erase it
  {a} should not be here any more
  ---
  Take {a} away from this folder
`)

export const mkdir = p(`
  <do>[Create|Make|Add|Start|Open|Set up] [a|the] [folder|directory] [called|named|] {d}
  <do>[Make|Create|Start] a new [folder|directory] [called|named|] {d}
  mkdir {d}
  I [need|want] a [new|] [folder|directory] [called|named|by the name of] {d}
  There should be a [folder|directory] [called|named|] {d}
  Let there be a [folder|directory] {d}
  ---
  A new folder called {d}
  Have a directory {d} made
  I'd like to have a folder {d}
  ---
  Make {d}, a new folder
`)

export const append = p(`
  <do>[Append|Add|Attach] {t} to {f}
  <do>[Add|Append|Write|Put] [the line|a line|the text] {t} [to|at] [the end of|the bottom of] {f}
  <do>[Append|Put|Write|Add|Stick] {t} [at|on|to] the [end|bottom] of {f}
  <do>[Append|Add] the [text|line|words] {t} [to|at the end of] {f}
  <do>[Extend|Continue] {f} with [the line|] {t}
  <do>[Tack|Stick] {t} [onto|on to] [the end of|] {f}
  I want {t} [added|appended] to {f}
  Let {f} end with [the line|] {t}
  {f} should [end with|get one more line:] {t}
  ---
  Have {t} added at the end of {f}
  To {f}, add the line {t}
  Take {f} and append {t}
  ---
  {f} needs one more line: {t}
`)

export const head = p(`
  <show> the {w} {n} [of|in|from] {f}
  What [is|are] the {w} {n} [of|in] {f}
  What do the {w} {n} of {f} say
  What does {f} say in the {w} {n}
  <ask> what the {w} {n} of {f} [is|are]
  <do>[Get|Give|Output|Print] the {w} {n} of {f}
  {f}: {w} {n}
  [Open|Take] {f} and show me the {w} {n}
  ---
  The {w} {n} of {f}
  See what the {w} {n} of {f} says
  Of {f}, I want the {w} {n}
  ---
  From {f}, read me the {w} {n}
`)

export const line = p(`
  <show> line [number|] {n} [of|in|from] {f}
  What [is|does] line {n} of {f} [say|]
  What is [on|in|written on] line {n} [of|in] {f}
  <ask> what [line {n} of {f} says|is on line {n} of {f}]
  {f}: line {n}
  [Open|Take] {f} and [show|read] me line {n}
  In {f}, what does line {n} say
  ---
  Line {n} of {f}
  Take {f} and read line {n}
  From {f}, read me line {n}
  ---
  Of {f}, I want line {n}
`)

export const matching = p(`
  How many lines [of|in] {f} [contain|mention|have|include|show|hold] {t}
  <get> the number of lines [in|of] {f} [with|containing|that contain|that mention|that have] {t}
  <do>[Count|Tally] [the|all|] lines [with|containing|that contain|that mention|that have] {t} in {f}
  <do>[Count|Tally] the lines of {f} [with|containing|that contain|that mention|that have] {t}
  <ask> how many lines [in|of] {f} [contain|mention|have|include] {t}
  In {f}, [how many lines contain|count the lines with|how many lines have] {t}
  <ask> how often {t} [appears|occurs|shows up] in {f}
  How [often|many times] does {t} [appear|occur|show up] in {f}
  On how many lines [of|in] {f} does {t} [appear|occur|show up|stand]
  ---
  {f} has how many lines with {t}
  See on how many lines of {f} there is {t}
  Of the lines of {f}, how many have {t}
  ---
  Take {f} and count the lines that contain {t}
`)

export const replaceAll = p(`
  <do>[Replace|Change|Swap] [every|all|each|every single] {a} [with|to|by|for|into] {b} in {f}
  <do>[Replace|Change] all [occurrences|uses|cases] of {a} [with|to|by] {b} in {f}
  In {f}, [replace|change|turn] [every|each|all] {a} [with|to|into] {b}
  <do>[Change|Turn|Replace] {a} [to|into|by] {b} [everywhere|throughout] in {f}
  <do>[Change|Turn] {a} [to|into] {b} throughout {f}
  Throughout {f}, [replace|change|turn] {a} [with|to|into] {b}
  [Every|Each] {a} in {f} should [become|be] {b}
  Wherever {f} [has|says] {a}, [use|write|put] {b}
  ---
  Everywhere in {f}, change {a} to {b}
  Let every {a} in {f} become {b}
  All of the {a} in {f} should be {b}
  ---
  Take {f} and replace each {a} by {b}
`)

export const sort = p(`
  <do>Sort {a} [into|to|and save it as] {b}
  <do>Sort the lines of {a} [into|to|and save them in|and write them to|and put them into] {b}
  <do>[Save|Write|Put] [a sorted copy of {a}|the sorted lines of {a}|the lines of {a}, sorted,] [in|into|to] {b}
  <do>[Create|Make] {b} with the [sorted lines|lines sorted] of {a}
  <do>[Put|Arrange|Bring] the lines of {a} in order [into|in|and save them as] {b}
  <do>Order [the lines of|] {a} [alphabetically|] [and save it as|into] {b}
  {b} should [hold|be|contain] {a}, sorted
  I want {a} sorted [into|and saved as] {b}
  ---
  Let {b} be a sorted copy of {a}
  Have the lines of {a} sorted into {b}
  Take {a}, sort it and save it as {b}
  ---
  A sorted copy of {a} in {b}, please
`)

export const upper = p(`
  <do>[Convert|Turn|Change|Put] {a} [to|into|in] [upper case|uppercase|capitals|capital letters] [in|into|and save it as|and write it to] {b}
  <do>[Write|Save|Put] {a} in [upper case|uppercase|capitals|capital letters|all caps] [to|as|into] {b}
  <do>[Create|Make] {b} as an [upper case|uppercase] copy of {a}
  <do>[Make] the text of {a} [all caps|upper case|uppercase] [and save it as|into|in] {b}
  <do>[Uppercase|Capitalize] {a} [into|and save it as] {b}
  {b} should be {a} in [capitals|capital letters|upper case|all caps]
  I want {a} in [capitals|upper case|uppercase] [as|in] {b}
  ---
  Let {b} be an uppercase copy of {a}
  Take {a}, put it in capital letters and save it as {b}
  An upper case copy of {a} in {b}
  ---
  Have {a} turned into capitals in {b}
`)

export const join = p(`
  <do>[Join|Combine|Merge|Concatenate|Glue|Stitch] {a} and {b} [together|] [into|to|in|as] {c}
  <do>[Put|Write|Save] {a} and {b} together [in|into|as] {c}
  <do>[Make|Create|Build] {c} [from|out of] {a} and {b}
  <do>[Merge|Combine|Join] {a} with {b} [into|in|as] {c}
  {c} should be {a} followed by {b}
  I want {a} and {b} [joined|combined|merged] [into|in|as] {c}
  Take {a} and {b} and [join|merge|combine] them [into|in] {c}
  ---
  Let {c} be {a} followed by {b}
  Have {a} and {b} merged into {c}
  {a} and {b} should be combined in {c}
  ---
  Build a file {c} by joining {a} and {b}
`)

export const exists = p(`
  Does {f} exist
  Does a file [called|named] {f} exist
  <ask> [if|whether] [the file|] {f} [exists|is there|is here]
  <ask> [if|whether] there is a [file|file called|file named] {f}
  Is {f} [there|here|in the workspace|in this folder|present]
  Is there a file [called|named|by the name of|] {f}
  Do [we|I] have [a file called|a file named|the file|] {f}
  [Verify|Make sure] that {f} [exists|is present|is there]
  Can you [see|find] {f} [here|in the workspace|in this folder]
  ---
  Do you find a file {f} here
  Is a file {f} present
  See if we have {f}
  ---
  In this folder, is there a file named {f}
`)

export const countFiles = p(`
  How many files are [there in|in|inside] [the folder|the directory|folder] {d}
  How many files does [the folder|the directory|folder] {d} [have|hold|contain]
  <get> the [number|count] of files [in|of|under] [the folder|the directory|folder] {d}
  <do>[Count|Tally] [the|all|] files [in|of|under|inside] [the folder|the directory|folder|] {d}
  <ask> how many files [are in|there are in] [the folder|the directory] {d}
  <ask> how many files [the folder|the directory] {d} [has|holds|contains]
  <get> the file count of [the folder|the directory|] {d}
  [In|For] the folder {d}, [count the files|how many files are there]
  ---
  The folder {d} has how many files
  What number of files does the folder {d} have
  See how many files are under {d}
  ---
  Take the folder {d} and count its files
`)

export const save = p(`
  [save|write|put|store] the [result|answer|count|number|total|sum] [to|in|into] {f}
  [save|write|put|store|record|keep|drop] the {n} [to|in|into] [a file called|a file named|the file|] {f}
  [save|write|store|put] the {n} [to|in|into] {f}
  [create|make] {f} with the {n} [in it|inside|]
  [save|write|put|store|record|keep] [that|it|the result|that result|the answer|that value] [to|in|into] [a file called|a file named|a new file|the file|] {f}
  [save|write|store|put] [that number|the number|this number|the value] [to|in|into] {f}
  [write|save] the [result|answer|output|value] [to|into|in] [a file called|a file named|a new file|] {f}
  [create|make] {f} with [that|the result|the answer|it] [in it|inside|as its content]
  [record|log|keep|note|note down] [it|that|the result|the {n}] in {f}
  put [the result|that|the value|the {n}] into {f}
  [make|let|have] {f} [contain|hold|say] [that|the result|the {n}|the answer]
  {f} should [contain|hold|say] [that|the result|the {n}]
  ---
  let {f} be a file with the {n} in it
  have the {n} saved in {f}
  into {f}, write the {n}
  ---
  I need the result in a file called {f}
`)

export const appendThat = p(`
  [append|add|attach] [it|that|the result|the answer|the {n}] to {f}
  [add|write|put|stick] [that|it|the result|the {n}] [at|to|on] the [end|bottom] of {f}
  [tack|stick] [that|it|the result] onto {f}
  [append|add] [it|that|the {n}] as a line to {f}
  I want [that|the result] added to {f}
  ---
  have the {n} added at the end of {f}
  to {f}, add the result
  ---
  take {f} and append that
`)

/** Arithmetic on the value of the step before: phrasings, and the expression with v for that value. */
export const onward: ReadonlyArray<readonly [Phrasings, string]> = [
  [
    p(`
      multiply [it|that|that number|the result|the number|this|the {v}] by {n}
      [compute|calculate|work out|find|tell me|figure out] [that|the result|it|the {v}] times {n}
      what is [that|that number|the result|the {v}] times {n}
      [have|get] [that|it|the {v}] multiplied by {n}
      find {n} times [that|the {v}|the result]
      ---
      see what {n} times that is
      take the result and multiply it by {n}
      ---
      I want that number times {n}
    `),
    "v*n"
  ],
  [
    p(`
      add {n} to [it|that|that number|the result|the number|the {v}]
      [compute|calculate|work out|find|tell me|figure out] [that|the result|it|the {v}] plus {n}
      what is [that|that number|the result|the {v}] plus {n}
      [increase|raise] [it|that|the number|the {v}] by {n}
      ---
      see what that plus {n} is
      take the result and add {n}
      ---
      I want that number plus {n}
    `),
    "v+n"
  ],
  [
    p(`
      [subtract|take] {n} [from|off|away from] [it|that|that number|the result|the number|the {v}]
      what is [that|that number|the result|the {v}] minus {n}
      [compute|calculate|work out|find|figure out] [that|the result|the {v}] minus {n}
      [lower|reduce|decrease] [it|that|the number|the {v}] by {n}
      ---
      see what that minus {n} is
      take the result and subtract {n}
      ---
      I want that number minus {n}
    `),
    "v-n"
  ],
  [
    p(`
      double [it|that|that number|the result|the {v}]
      [work out|compute|tell me|find] twice [that|the {v}|the result]
      [make|get] [that|that number|it] [twice as big|doubled]
      ---
      see what twice that is
      ---
      take the result and double it
    `),
    "v*2"
  ],
  [
    p(`
      square [it|that|that number|the result|the {v}]
      [work out|compute|tell me|find] the square of [that|the {v}|the result|that number]
      multiply [that number|it|that] [with|by] itself
      ---
      see what the square of that is
      ---
      take the result and square it
    `),
    "v*v"
  ]
]

export const note = p(`
  <do>[Note|Note down|Take a note|Make a note|Jot down] [that|:] {t}
  <do>[Take|Make|Write] [the|this|a] note[:|] {t}
  <do>[Note|Note down|Jot down|Keep in view] {t}
  <do>[Keep|Put down|Take down] {t} [in view|as a note|in a note]
  <do>Keep in [view|mind] that {t}
  <do>[Note|Note down] the [text|words|line] {t}
  <do>Do not lose sight of this: {t}
  ---
  Have a note of this: {t}
  Let {t} be noted
  See that {t} stays in view
  I want a note that says {t}
  ---
  This must stay in view: {t}
`)

export const noteThat = p(`
  [note|note down|take a note of|make a note of|keep a note of|keep in view] [the {n}|the {n}|that {n}]
  [keep|put down] the {n} [in view|as a note|in a note]
  [note|note down|keep in view] what the {n} is
  ---
  have the {n} noted
  let the {n} be noted
  see that the {n} stays in view
  I want a note of the {n}
  ---
  the {n} must stay in view
`)

export const knownAbout = p(`
  [What|Which] [is|was] the {l} [that you remember|that you know|you were told|from before|from the last time|you remembered]
  <do>[Recall|Look up in your memory|Look up in memory|Remember] the {l} [from before|from the last time|you were told|]
  <get> the {l} [that you remember|from memory|from your memory|from an earlier run|you were told before]
  [Do you remember|Do you recall|Do you know] the {l} [from before|from the last time|]
  ---
  [Which|What] {l} [is in|do you have in] your memory
  See what {l} you remember
  From memory, [tell me|give me] the {l}
  ---
  You once learned the {l}: let me have it
`)

export const longAsk = p(`
  <do>[Read|Open|Look at|Go through] {f} and [give|tell me|report|answer with|find|give me] [the|its] {l}
  <get> the {l} [in|from|of|that is in] {f}
  [What|Which] {l} [is in|does] {f} [have|give|name|hold]
  [What|Which] is the {l} in {f}
  Somewhere in {f} there is a {l}: [find it|give it|report it|read it to me]
  ---
  The {l} that {f} has
  See which {l} {f} gives
  Take {f} and find its {l}
  ---
  In {f} a {l} is given: let me have it
`)

export const partAsk = p(`
  <do>[Read|Open|Look at] {f} and [give|tell me|report|answer with|find|give me] the {l} [in|of|from] its part {n}
  <get> the {l} [in|from|of|that is in] part {n} of {f}
  [What|Which] {l} [is in|does] part {n} of {f} [have|give|name|hold]
  Part {n} of {f} has a {l}: [find it|give it|report it|read it to me]
  ---
  The {l} that part {n} of {f} has
  See which {l} part {n} of {f} gives
  Take {f} and find the {l} of its part {n}
  ---
  In part {n} of {f} a {l} is given: let me have it
`)
