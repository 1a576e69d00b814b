-- static_words.lua - CHANNI on word vectors under cosine that do not change.
--
-- Data: words; --set data=glove-100-angular takes another. Parameters and claims are set for words.
--
-- Every method holds floats, so memory differs by what a method keeps, not by the element.

require "channi_static".run {
  name = "channi_static_words", title = "CHANNI on word vectors that do not change",
  data = require("datasets").open "words",
}
